// Sends an order of half an hour ago with Segment's own Java client, unchanged.
//
//   java -cp 'target/dependency/*' Send.java ENDPOINT WRITE_KEY MESSAGE_ID

import com.segment.analytics.Analytics;
import com.segment.analytics.Callback;
import com.segment.analytics.messages.IdentifyMessage;
import com.segment.analytics.messages.Message;
import com.segment.analytics.messages.TrackMessage;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

public class Send {
  public static void main(String[] arguments) throws InterruptedException {
    String endpoint = arguments[0], writeKey = arguments[1], id = arguments[2];
    CountDownLatch acknowledged = new CountDownLatch(2);
    Analytics analytics = Analytics.builder(writeKey).endpoint(endpoint).callback(new Callback() {
      public void success(Message message) { acknowledged.countDown(); }
      public void failure(Message message, Throwable error) { error.printStackTrace(); }
    }).build();

    analytics.enqueue(IdentifyMessage.builder().userId("java-user").anonymousId("java-visitor")
        .traits(Map.of("email", "jane.doe@example.com")));
    analytics.enqueue(TrackMessage.builder("Order Completed").messageId(id)
        .userId("java-user").anonymousId("java-visitor")
        .timestamp(new Date(System.currentTimeMillis() - 30 * 60 * 1000))
        .properties(Map.of("order_id", id, "currency", "EUR",
            "products", List.of(Map.of("product_id", "lamp-7", "price", 49.9, "quantity", 2))))
        .context(Map.of("ip", "203.0.113.7", "userAgent", "Mozilla/5.0",
            "page", Map.of("url", "https://shop.example/" + id),
            "consent", Map.of("categoryPreferences", Map.of("marketing", true)))));
    analytics.flush();
    boolean taken = acknowledged.await(60, TimeUnit.SECONDS);
    analytics.shutdown();
    System.exit(taken ? 0 : 1);
  }
}
