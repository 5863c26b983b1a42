// Sends one call of each type with Segment's own Node SDK, unchanged, and prints what became of each as JSON lines.
//
//   node send.mjs HOST WRITE_KEY

import { Analytics } from '@segment/analytics-node'

const [host, writeKey] = process.argv.slice(2)
const analytics = new Analytics({ host, writeKey, flushAt: 5, flushInterval: 200, maxRetries: 20 })
analytics.on('error', (error) => console.log(JSON.stringify({ error: error.code, reason: String(error.reason) })))

const visitor = { anonymousId: 'node-visitor', userId: 'user-42' }
const context = (id) => ({
  ip: '203.0.113.7',
  userAgent: 'Mozilla/5.0 (iPhone)',
  page: { url: `https://shop.example/${id}` },
})
const marked = (id) => ({ ...visitor, messageId: id, context: context(id) })
const timestamp = new Date(Date.now() - 60 * 60 * 1000)

const calls = {
  identify: { ...visitor, traits: { email: 'Jane.Doe@example.com', plan: 'gold' } },
  group: { ...visitor, groupId: 'company-7', traits: { name: 'Example' } },
  alias: { previousId: 'node-visitor', userId: 'user-42' },
  screen: { ...visitor, name: 'Basket', properties: { items: 2 } },
  page: { ...marked('node-page'), category: 'Lamps', name: 'Desk lamps', properties: { path: '/lamps' } },
}
const tracks = [
  { ...marked('node-product'), event: 'Product Viewed', properties: { product_id: 'lamp-7' } },
  {
    ...marked('node-order'),
    event: 'Order Completed',
    timestamp,
    properties: {
      order_id: 'node-order',
      currency: 'EUR',
      email: 'Jane.Doe@example.com',
      products: [
        { product_id: 'lamp-7', price: 49.9, quantity: 2 },
        { product_id: 'bulb-1', price: '3.50' },
      ],
    },
  },
]

const told = (error, sent) => {
  if (!error) console.log(JSON.stringify(sent.event))
}
for (const [type, message] of Object.entries(calls)) analytics[type](message, told)
for (const message of tracks) analytics.track(message, told)
await analytics.closeAndFlush({ timeout: 60_000 })
