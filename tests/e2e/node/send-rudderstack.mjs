// Sends an order of half an hour ago with RudderStack's own Node SDK, unchanged.
//
//   node send-rudderstack.mjs DATA_PLANE_URL WRITE_KEY MESSAGE_ID

import Analytics from '@rudderstack/rudder-sdk-node'

const [dataPlaneUrl, writeKey, messageId] = process.argv.slice(2)
const analytics = new Analytics(writeKey, { dataPlaneUrl })
const visitor = { anonymousId: 'rudder-visitor', userId: 'rudder-user' }

analytics.identify({ ...visitor, traits: { email: 'jane.doe@example.com' } })
analytics.track({
  ...visitor,
  messageId,
  event: 'Order Completed',
  originalTimestamp: new Date(Date.now() - 30 * 60 * 1000),
  properties: { order_id: messageId, currency: 'EUR', products: [{ product_id: 'lamp-7', price: 49.9, quantity: 2 }] },
  context: {
    ip: '203.0.113.7',
    userAgent: 'Mozilla/5.0',
    page: { url: `https://shop.example/${messageId}` },
    consentManagement: { provider: 'custom', allowedConsentIds: ['marketing'], deniedConsentIds: ['analytics'] },
  },
})
await analytics.flush()
process.exit(0)
