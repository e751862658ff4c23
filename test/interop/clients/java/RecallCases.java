// What a Java 5.5.0 producer may do with a timer message it sent: call it back before it is due. Each
// case prints `CASE name verdict` with nothing in it that differs between two good brokers.
//   java -cp 'client jars' RecallCases.java namesrv=host:port topic=T
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

public class RecallCases {
  private static final long PATIENCE_MS = 90_000;
  private static final Map<String, String> OPTIONS = new HashMap<>();

  public static void main(String[] args) {
    try {
      run(args);
      Runtime.getRuntime().halt(0);
    } catch (Throwable reason) {
      reason.printStackTrace();
      Runtime.getRuntime().halt(1);
    }
  }

  private static void run(String[] args) throws Exception {
    for (String arg : args) OPTIONS.put(arg.substring(0, arg.indexOf('=')), arg.substring(arg.indexOf('=') + 1));
    String topic = OPTIONS.get("topic");
    DefaultMQProducer producer = new DefaultMQProducer(topic + "-producers");
    producer.setNamesrvAddr(OPTIONS.get("namesrv"));
    producer.setMqClientApiTimeout(20_000);
    producer.setSendMsgTimeout(20_000);
    producer.start();
    Set<String> seen = Collections.synchronizedSet(new TreeSet<>());
    DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(topic + "-consumers");
    consumer.setNamesrvAddr(OPTIONS.get("namesrv"));
    consumer.setMqClientApiTimeout(20_000);
    consumer.setInstanceName("reader");
    consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    consumer.subscribe(topic, "*");
    consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
      messages.forEach(message -> seen.add(message.getKeys()));
      return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
    });
    consumer.start();

    SendResult plain = producer.send(message(topic, "plain", 0));
    say("plain-handle", String.valueOf(plain.getRecallHandle()));
    SendResult gone = producer.send(message(topic, "gone", 6_000));
    say("recall", String.valueOf(gone.getMsgId().equals(producer.recallMessage(topic, gone.getRecallHandle()))));
    producer.send(message(topic, "stays", 6_000));
    say("bad-handle", codeOf(producer, topic, "bm8gaGFuZGxl"));
    say("no-handle", codeOf(producer, topic, "?"));
    // Due after the recalled one: when it came, the other would have come.
    producer.send(message(topic, "later", 9_000));
    long deadline = System.currentTimeMillis() + PATIENCE_MS;
    while (!seen.contains("later") || !seen.contains("stays")) {
      if (System.currentTimeMillis() > deadline) throw new IllegalStateException("only " + seen);
      Thread.sleep(50);
    }
    say("delivered", String.join(",", seen));
  }

  private static String codeOf(DefaultMQProducer producer, String topic, String handle) throws Exception {
    try {
      return "recalled " + producer.recallMessage(topic, handle);
    } catch (MQBrokerException reason) {
      return "code " + reason.getResponseCode();
    } catch (Exception reason) {
      return reason.getClass().getSimpleName();
    }
  }

  private static Message message(String topic, String key, long delayMs) {
    Message message = new Message(topic, "TagA", key, key.getBytes(StandardCharsets.UTF_8));
    if (delayMs > 0) message.setDelayTimeMs(delayMs);
    return message;
  }

  private static void say(String name, String verdict) {
    System.out.println("CASE " + name + " " + verdict);
  }
}
