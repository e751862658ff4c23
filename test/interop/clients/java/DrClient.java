// An ordinary RocketMQ program in Java, outside our process: it sends or consumes and writes down what it
// saw, one JSON line per event, written through to the operating system before it goes on.
//   java -cp ... DrClient mode=produce namesrv=host:port topic=T group=G history=FILE [rate=100]
//     [count=0] [seconds=0] [threads=1] [prefix=p] [size=0] [poll=30000] [batch=16] [timeout=3000] [api=3000]
//     [trace=off] [accessKey=K secretKey=S]
//     [level=0] [timer=TIMER_DELAY_MS delay=3000]
// Modes: produce, batch (send); consume, orderly, broadcast, retry (push consumer; retry refuses each
// message once). Several push consumers in one program: mode=consume,orderly and a % in group and history,
// which becomes the mode of each. A send is `invoke` before it leaves, then `ok`, `fail` (it cannot have been stored) or
// `unknown`. Ends after count or seconds, or cleanly on SIGTERM. Prints READY once it is connected.
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.hook.SendMessageContext;
import org.apache.rocketmq.client.hook.SendMessageHook;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.RPCHook;

public class DrClient {
  // Client-side codes that mean "no try was made": broker not found, no name server, no route.
  private static final List<Integer> NEVER_SENT = List.of(10003, 10004, 10005);
  private static final CountDownLatch STOP = new CountDownLatch(1);
  // Tries of the send that runs on this thread: the client repeats a failed one without a word.
  private static final ThreadLocal<Integer> TRIES = ThreadLocal.withInitial(() -> 0);
  private static Map<String, String> options;
  private static final List<String> CONSUMING = List.of("consume", "orderly", "broadcast", "retry");

  public static void main(String[] args) {
    options = new HashMap<>();
    for (String arg : args) {
      int at = arg.indexOf('=');
      options.put(arg.substring(0, at), arg.substring(at + 1));
    }
    try {
      run(text("mode", null));
      // The clients leave threads behind that are no daemons.
      Runtime.getRuntime().halt(0);
    } catch (Throwable reason) {
      reason.printStackTrace();
      Runtime.getRuntime().halt(1);
    }
  }

  private static void run(String mode) throws Exception {
    Thread main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      STOP.countDown();
      try {
        main.join(10_000);
      } catch (InterruptedException reason) {
        Thread.currentThread().interrupt();
      }
    }));
    switch (mode) {
      case "produce":
      case "batch":
        produce(mode.equals("batch"));
        return;
      default:
        consume(mode.split(","));
    }
  }

  private static void produce(boolean isBatch) throws Exception {
    FileOutputStream history = new FileOutputStream(text("history", null), true);
    DefaultMQProducer producer =
        new DefaultMQProducer(text("group", "PG"), credentials(), isTraced("produce"), null);
    producer.setNamesrvAddr(text("namesrv", null));
    producer.setMqClientApiTimeout(number("api", 3_000));
    producer.setPollNameServerInterval(number("poll", 30_000));
    producer.setSendMsgTimeout(number("timeout", 3_000));
    producer.getDefaultMQProducerImpl().registerSendMessageHook(countingHook());
    producer.start();
    System.out.println("READY");
    int threads = number("threads", 1);
    List<Thread> workers = new ArrayList<>();
    AtomicInteger failures = new AtomicInteger();
    for (int i = 0; i < threads; i++) {
      String prefix = text("prefix", "p") + "." + i;
      Thread worker = new Thread(() -> {
        try {
          sendLoop(producer, history, prefix, isBatch);
        } catch (Throwable reason) {
          reason.printStackTrace();
          failures.incrementAndGet();
        }
      });
      worker.start();
      workers.add(worker);
    }
    for (Thread worker : workers) worker.join();
    // What is left of the trace goes out while the client waits.
    if (!isTraced("produce")) hurry();
    producer.shutdown();
    if (failures.get() > 0) throw new IllegalStateException("a sending thread died");
  }

  // Signs every request when keys are given. By name: 4.9 has the class in a jar of its own.
  private static RPCHook credentials() throws Exception {
    if (!options.containsKey("accessKey")) return null;
    String base = "org.apache.rocketmq.acl.common.";
    Class<?> keys = Class.forName(base + "SessionCredentials");
    Object pair = keys.getConstructor(String.class, String.class)
        .newInstance(text("accessKey", null), text("secretKey", null));
    return (RPCHook) Class.forName(base + "AclClientRPCHook").getConstructor(keys).newInstance(pair);
  }

  private static SendMessageHook countingHook() {
    return new SendMessageHook() {
      @Override
      public String hookName() {
        return "tries";
      }

      @Override
      public void sendMessageBefore(SendMessageContext context) {
        TRIES.set(TRIES.get() + 1);
      }

      @Override
      public void sendMessageAfter(SendMessageContext context) {
        // The outcome is what send() tells.
      }
    };
  }

  private static void sendLoop(
      DefaultMQProducer producer, FileOutputStream history, String prefix, boolean isBatch) throws Exception {
    int threads = number("threads", 1);
    int width = isBatch ? number("batch", 16) : 1;
    long count = number("count", 0);
    long seconds = number("seconds", 0);
    double gapNanos = 1e9 * width * threads / number("rate", 100);
    long begun = System.nanoTime();
    long start = begun;
    for (long serial = 0; count == 0 || serial * width < count; serial++) {
      long due = start + (long) (serial * gapNanos);
      // Why not catch up: after an outage a real sender goes on at its pace.
      long wait = due - System.nanoTime();
      if (wait < -1_000_000_000L) start -= wait;
      if (STOP.await(Math.max(0, wait), TimeUnit.NANOSECONDS)) return;
      if (seconds > 0 && System.nanoTime() - begun > seconds * 1_000_000_000L) return;
      List<Message> messages = new ArrayList<>();
      for (int i = 0; i < width; i++) messages.add(message(prefix + "-" + (serial * width + i)));
      send(producer, history, messages);
    }
  }

  private static Message message(String key) {
    StringBuilder body = new StringBuilder(key);
    while (body.length() < number("size", 0)) body.append('.');
    byte[] bytes = body.toString().getBytes(StandardCharsets.UTF_8);
    Message message = new Message(text("topic", null), text("tag", "TagA"), key, bytes);
    if (number("level", 0) > 0) message.setDelayTimeLevel(number("level", 0));
    // Not setDelayTimeMs: the same program is built with 4.9.8, which does not have it.
    if (options.containsKey("timer")) MessageAccessor.putProperty(message, text("timer", null), text("delay", null));
    return message;
  }

  private static void send(
      DefaultMQProducer producer, FileOutputStream history, List<Message> messages) throws Exception {
    for (Message message : messages) record(history, "send", "invoke", message.getKeys(), null, -1, "");
    TRIES.set(0);
    try {
      SendResult result =
          messages.size() == 1 ? producer.send(messages.get(0)) : producer.send(messages);
      boolean isOk = result.getSendStatus() == SendStatus.SEND_OK;
      String queue = queueOf(result.getMessageQueue().getBrokerName(),
          result.getMessageQueue().getQueueId());
      for (int i = 0; i < messages.size(); i++) {
        String more = ",\"status\":\"" + result.getSendStatus() + "\",\"attempts\":" + TRIES.get();
        record(history, "send", isOk ? "ok" : "unknown", messages.get(i).getKeys(), queue,
            result.getQueueOffset() + i, more);
      }
    } catch (InterruptedException reason) {
      throw reason;
    } catch (Exception reason) {
      boolean isNeverSent = reason instanceof MQClientException
          && NEVER_SENT.contains(((MQClientException) reason).getResponseCode());
      String more = ",\"attempts\":" + TRIES.get() + ",\"error\":"
          + quote(reason.getClass().getSimpleName() + ": " + reason.getMessage());
      for (Message message : messages) {
        record(history, "send", isNeverSent ? "fail" : "unknown", message.getKeys(), null, -1, more);
      }
    }
  }

  // Whether the client writes what it did into the trace topic: trace=on, or trace=consume for one of many.
  private static boolean isTraced(String mode) {
    return text("trace", "off").equals("on") || text("trace", "off").equals(mode);
  }

  private static void consume(String[] modes) throws Exception {
    List<DefaultMQPushConsumer> consumers = new ArrayList<>();
    for (String mode : modes) {
      if (!CONSUMING.contains(mode)) throw new IllegalArgumentException("unknown mode " + mode);
      consumers.add(startConsumer(mode));
    }
    System.out.println("READY");
    long seconds = number("seconds", 0);
    if (seconds > 0) STOP.await(seconds, TimeUnit.SECONDS);
    else STOP.await();
    hurry();
    for (DefaultMQPushConsumer consumer : consumers) consumer.shutdown();
  }

  private static DefaultMQPushConsumer startConsumer(String mode) throws Exception {
    FileOutputStream history = new FileOutputStream(text("history", null).replace("%", mode), true);
    DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(text("group", "CG").replace("%", mode),
        credentials(), new AllocateMessageQueueAveragely(), isTraced(mode), null);
    consumer.setNamesrvAddr(text("namesrv", null));
    consumer.setMqClientApiTimeout(number("api", 3_000));
    consumer.setPollNameServerInterval(number("poll", 30_000));
    consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    if (mode.equals("broadcast")) {
      setBroadcasting(consumer);
    }
    consumer.subscribe(text("topic", null), text("filter", "*"));
    if (mode.equals("orderly")) {
      consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
        for (MessageExt message : messages) consumed(history, message);
        return ConsumeOrderlyStatus.SUCCESS;
      });
    } else {
      boolean isRetry = mode.equals("retry");
      consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
        boolean isRefused = false;
        for (MessageExt message : messages) {
          consumed(history, message);
          isRefused |= isRetry && message.getReconsumeTimes() == 0;
        }
        context.setDelayLevelWhenNextConsume(1);
        return isRefused ? ConsumeConcurrentlyStatus.RECONSUME_LATER
            : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
      });
    }
    consumer.start();
    return consumer;
  }

  // A client that closes waits up to 3 s for a thread of its own that waits for events: it is told at once.
  private static void hurry() {
    Thread waker = new Thread(() -> {
      for (;;) {
        for (Thread each : Thread.getAllStackTraces().keySet()) {
          if (each.getName().startsWith("NettyEventExecut")) each.interrupt();
        }
        LockSupport.parkNanos(10_000_000);
      }
    });
    waker.setDaemon(true);
    waker.start();
  }

  /** By name: the enum moved to another package between 4.9 and 5.x. */
  private static void setBroadcasting(DefaultMQPushConsumer consumer) throws Exception {
    Class<?> model = consumer.getMessageModel().getClass();
    Object broadcasting = model.getField("BROADCASTING").get(null);
    consumer.getClass().getMethod("setMessageModel", model).invoke(consumer, broadcasting);
  }

  private static void consumed(FileOutputStream history, MessageExt message) {
    try {
      record(history, "consume", null, message.getKeys(),
          queueOf(message.getBrokerName(), message.getQueueId()), message.getQueueOffset(),
          ",\"reconsume\":" + message.getReconsumeTimes());
    } catch (IOException reason) {
      // Without its history this program proves nothing.
      reason.printStackTrace();
      Runtime.getRuntime().halt(3);
    }
  }

  private static String queueOf(String brokerName, int queueId) {
    return (brokerName == null ? "?" : brokerName) + "@" + queueId;
  }

  private static void record(FileOutputStream history, String op, String phase, String key,
      String queue, long offset, String more) throws IOException {
    String line = "{\"t\":" + System.currentTimeMillis() + ",\"op\":\"" + op + "\""
        + (phase == null ? "" : ",\"phase\":\"" + phase + "\"")
        + ",\"key\":" + quote(key)
        + (queue == null ? "" : ",\"queue\":" + quote(queue) + ",\"offset\":" + offset)
        + more + "}\n";
    byte[] bytes = line.getBytes(StandardCharsets.UTF_8);
    synchronized (history) {
      history.write(bytes);
    }
  }

  private static String quote(String value) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : String.valueOf(value).toCharArray()) {
      if (c == '"' || c == '\\') out.append('\\').append(c);
      else if (c < 0x20) out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }

  private static String text(String name, String otherwise) {
    String value = options.getOrDefault(name, otherwise);
    if (value == null) throw new IllegalArgumentException("missing argument " + name);
    return value;
  }

  private static int number(String name, int otherwise) {
    return Integer.parseInt(options.getOrDefault(name, String.valueOf(otherwise)));
  }
}
