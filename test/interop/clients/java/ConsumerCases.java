// What consumers and requesters of Apache's Java client may ask of a broker, one case each, all at once:
// SQL92 subscriptions, requests and replies, lite pull, seek, order, broadcast, dead letters. Each case
// prints `CASE name verdict` with nothing in it that differs between two good brokers.
//   java -cp 'client jars' ConsumerCases.java namesrv=host:port prefix=P cluster=C
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

public class ConsumerCases {
  private static final long PATIENCE_MS = 90_000;
  private static final Map<String, String> OPTIONS = new HashMap<>();
  private static DefaultMQProducer producer;

  interface Case {
    String run(String topic) throws Exception;
  }

  public static void main(String[] args) throws Exception {
    for (String arg : args) OPTIONS.put(arg.substring(0, arg.indexOf('=')), arg.substring(arg.indexOf('=') + 1));
    producer = new DefaultMQProducer(name("producers"));
    producer.setNamesrvAddr(OPTIONS.get("namesrv"));
    producer.setMqClientApiTimeout(20_000);
    producer.setSendMsgTimeout(20_000);
    producer.start();
    Map<String, Case> cases = new TreeMap<>();
    cases.put("sql-push", ConsumerCases::sqlPush);
    cases.put("sql-refused", ConsumerCases::sqlRefused);
    cases.put("sql-retry", ConsumerCases::sqlRetry);
    cases.put("sql-lite-pull", ConsumerCases::sqlLitePull);
    cases.put("request", ConsumerCases::request);
    cases.put("request-unanswered", ConsumerCases::unanswered);
    cases.put("reply-to-stranger", ConsumerCases::replyToStranger);
    cases.put("lite-pull", ConsumerCases::litePull);
    cases.put("assign-seek", ConsumerCases::assignAndSeek);
    cases.put("orderly", ConsumerCases::orderly);
    cases.put("broadcast", ConsumerCases::broadcast);
    cases.put("dead-letter", ConsumerCases::deadLetter);
    List<Thread> threads = new ArrayList<>();
    cases.forEach((name, each) -> {
      Thread thread = new Thread(() -> {
        String verdict;
        try {
          verdict = each.run(name(name));
        } catch (Throwable reason) {
          reason.printStackTrace();
          verdict = "failed: " + reason;
        }
        System.out.println("CASE " + name + " " + verdict.replace('\n', ' '));
      });
      threads.add(thread);
      thread.start();
    });
    for (Thread thread : threads) thread.join();
    System.out.println("DONE");
    Runtime.getRuntime().halt(0);
  }

  private static String name(String of) {
    return OPTIONS.get("prefix") + "-" + of;
  }

  private static String sqlPush(String topic) throws Exception {
    Set<String> seen = Collections.synchronizedSet(new TreeSet<>());
    DefaultMQPushConsumer consumer = consumer(topic, "sql");
    consumer.subscribe(topic, MessageSelector.bySql("age BETWEEN 5 AND 7 OR (place = 'west' AND age > 15)"));
    consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
      for (MessageExt message : messages) seen.add(message.getKeys());
      return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
    });
    consumer.start();
    for (int age = 10; age < 30; age++) sendAged(topic, age - 10);
    await(() -> seen.size() >= 5);
    // What comes while pulls are held must be chosen too.
    for (int age = 30; age < 50; age++) sendAged(topic, age - 30);
    sendAged(topic, 18, "last");
    await(() -> seen.contains("last"));
    consumer.shutdown();
    return String.join(",", seen);
  }

  private static String sqlRefused(String topic) throws Exception {
    DefaultMQPushConsumer consumer = consumer(topic, "bad");
    consumer.subscribe(topic, MessageSelector.bySql("age BETWEEN 9 AND 3"));
    consumer.registerMessageListener(
        (MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
    try {
      consumer.start();
      return "started";
    } catch (MQClientException reason) {
      return "code " + reason.getResponseCode();
    } finally {
      consumer.shutdown();
    }
  }

  private static String sqlRetry(String topic) throws Exception {
    Set<String> again = Collections.synchronizedSet(new TreeSet<>());
    DefaultMQPushConsumer consumer = consumer(topic, "again");
    consumer.subscribe(topic, MessageSelector.bySql("age = 3"));
    consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
      context.setDelayLevelWhenNextConsume(1);
      boolean isFirst = messages.get(0).getReconsumeTimes() == 0;
      if (!isFirst) again.add(messages.get(0).getKeys() + " from " + unprefixed(messages.get(0).getTopic()));
      return isFirst ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
    });
    consumer.start();
    for (int age = 0; age < 5; age++) sendAged(topic, age);
    await(() -> again.size() == 1);
    consumer.shutdown();
    return String.join(",", again);
  }

  private static String sqlLitePull(String topic) throws Exception {
    DefaultLitePullConsumer consumer = litePuller("sql-lite");
    consumer.subscribe(topic, MessageSelector.bySql("place IS NOT NULL AND NOT (place IN ('west'))"));
    consumer.start();
    for (int age = 0; age < 8; age++) sendAged(topic, age);
    Set<String> seen = poll(consumer, 4);
    consumer.shutdown();
    return String.join(",", seen);
  }

  private static String request(String topic) throws Exception {
    DefaultMQPushConsumer answering = consumer(topic, "answering");
    answering.subscribe(topic, "*");
    answering.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
      for (MessageExt message : messages) {
        try {
          byte[] body = ("re: " + new String(message.getBody(), StandardCharsets.UTF_8)).getBytes(StandardCharsets.UTF_8);
          producer.send(MessageUtil.createReplyMessage(message, body));
        } catch (Exception reason) {
          reason.printStackTrace();
        }
      }
      return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
    });
    answering.start();
    DefaultMQProducer asking = new DefaultMQProducer(name("asking"));
    asking.setNamesrvAddr(OPTIONS.get("namesrv"));
    asking.setMqClientApiTimeout(20_000);
    asking.setInstanceName("asking");
    asking.start();
    List<String> answers = new ArrayList<>();
    answers.add(askUntilAnswered(asking, new Message(topic, "one".getBytes(StandardCharsets.UTF_8))));
    CompletableFuture<String> late = new CompletableFuture<>();
    asking.request(new Message(topic, "two".getBytes(StandardCharsets.UTF_8)), new RequestCallback() {
      @Override
      public void onSuccess(Message message) {
        late.complete(new String(message.getBody(), StandardCharsets.UTF_8));
      }

      @Override
      public void onException(Throwable reason) {
        late.completeExceptionally(reason);
      }
    }, 60_000);
    answers.add(late.get(PATIENCE_MS, TimeUnit.MILLISECONDS));
    asking.shutdown();
    answering.shutdown();
    return String.join(",", answers);
  }

  /**
   * The answer comes over the channel of a heartbeat. The library sends one before a first request, but leaves it
   * out when its own timer is at it: then neither broker knows whom to answer, and it asks again.
   */
  private static String askUntilAnswered(DefaultMQProducer asking, Message question) throws Exception {
    for (int left = 3; ; left--) {
      try {
        return new String(asking.request(question, 20_000).getBody(), StandardCharsets.UTF_8);
      } catch (RequestTimeoutException reason) {
        reason.printStackTrace();
        if (left == 0) throw reason;
      }
    }
  }

  private static String unanswered(String topic) throws Exception {
    // The route is known then: only the answer can take its time.
    sendAged(topic, 1);
    try {
      producer.request(new Message(topic, "anyone".getBytes(StandardCharsets.UTF_8)), 10_000);
      return "answered";
    } catch (RequestTimeoutException reason) {
      return "times out";
    }
  }

  private static String replyToStranger(String topic) throws Exception {
    Message reply = new Message(OPTIONS.get("cluster") + "_REPLY_TOPIC", "x".getBytes(StandardCharsets.UTF_8));
    MessageAccessor.putProperty(reply, "MSG_TYPE", "reply");
    MessageAccessor.putProperty(reply, "CORRELATION_ID", "c");
    MessageAccessor.putProperty(reply, "REPLY_TO_CLIENT", "stranger");
    DefaultMQProducer once = new DefaultMQProducer(name("once"));
    once.setNamesrvAddr(OPTIONS.get("namesrv"));
    once.setMqClientApiTimeout(20_000);
    once.setInstanceName("once");
    once.setSendMsgTimeout(20_000);
    once.setRetryTimesWhenSendFailed(0);
    once.start();
    try {
      once.send(reply);
      return "sent";
    } catch (MQClientException reason) {
      MQBrokerException cause = (MQBrokerException) reason.getCause();
      return cause.getResponseCode() + " " + cause.getErrorMessage();
    } finally {
      once.shutdown();
    }
  }

  private static String litePull(String topic) throws Exception {
    DefaultLitePullConsumer consumer = litePuller("lite");
    consumer.subscribe(topic, "TagA");
    consumer.start();
    for (int age = 0; age < 10; age++) sendAged(topic, age);
    Set<String> seen = poll(consumer, 10);
    consumer.shutdown();
    return String.join(",", seen);
  }

  private static String assignAndSeek(String topic) throws Exception {
    DefaultLitePullConsumer consumer = litePuller("assigned");
    consumer.setAutoCommit(false);
    consumer.start();
    List<MessageQueue> queues = new ArrayList<>(consumer.fetchMessageQueues(topic));
    Collections.sort(queues);
    MessageQueue queue = queues.get(0);
    for (int age = 0; age < 10; age++) producer.send(aged(topic, age, "k" + age), queue);
    consumer.assign(Arrays.asList(queue));
    List<String> verdict = new ArrayList<>();
    // Why all of them first: the client hands out what a pull under way brings, though it was told to seek.
    verdict.add("assigned: " + poll(consumer, 10).size());
    consumer.seek(queue, 6);
    verdict.add("from 6: " + String.join(",", poll(consumer, 4)));
    consumer.commitSync();
    await(() -> consumer.committed(queue) == 10);
    consumer.seekToBegin(queue);
    verdict.add("from begin: " + poll(consumer, 10).size());
    consumer.seekToEnd(queue);
    producer.send(aged(topic, 99, "end"), queue);
    verdict.add("from end: " + String.join(",", poll(consumer, 1)));
    verdict.add("at time: " + consumer.offsetForTimestamp(queue, 0L));
    consumer.shutdown();
    return String.join("; ", verdict);
  }

  private static String orderly(String topic) throws Exception {
    Map<String, List<Integer>> seen = Collections.synchronizedMap(new TreeMap<>());
    Set<String> suspended = Collections.synchronizedSet(new TreeSet<>());
    DefaultMQPushConsumer consumer = consumer(topic, "orderly");
    consumer.subscribe(topic, "*");
    consumer.setConsumeMessageBatchMaxSize(1);
    consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
      MessageExt message = messages.get(0);
      String[] key = message.getKeys().split("-");
      if (key[1].equals("3") && suspended.add(key[0])) return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
      seen.computeIfAbsent(key[0], name -> new ArrayList<>()).add(Integer.parseInt(key[1]));
      return ConsumeOrderlyStatus.SUCCESS;
    });
    consumer.start();
    for (int serial = 0; serial < 8; serial++) {
      for (int order = 0; order < 3; order++) {
        producer.send(aged(topic, serial, "o" + order + "-" + serial),
            (queues, message, which) -> queues.get((Integer) which % queues.size()), order);
      }
    }
    await(() -> seen.values().stream().mapToInt(List::size).sum() >= 24);
    consumer.shutdown();
    return seen + " suspended " + suspended;
  }

  private static String broadcast(String topic) throws Exception {
    List<Set<String>> seen = new ArrayList<>();
    List<DefaultMQPushConsumer> consumers = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      Set<String> mine = Collections.synchronizedSet(new TreeSet<>());
      seen.add(mine);
      DefaultMQPushConsumer consumer = consumer(topic, "broadcast");
      consumer.setInstanceName("broadcast-" + i + "-" + OPTIONS.get("prefix"));
      Class<?> model = consumer.getMessageModel().getClass();
      consumer.getClass().getMethod("setMessageModel", model)
          .invoke(consumer, model.getField("BROADCASTING").get(null));
      consumer.subscribe(topic, "*");
      consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
        for (MessageExt message : messages) mine.add(message.getKeys());
        return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
      });
      consumer.start();
      consumers.add(consumer);
    }
    for (int age = 0; age < 6; age++) sendAged(topic, age);
    await(() -> seen.stream().allMatch(mine -> mine.size() == 6));
    for (DefaultMQPushConsumer consumer : consumers) consumer.shutdown();
    return String.join(" | ", String.join(",", seen.get(0)), String.join(",", seen.get(1)));
  }

  private static String deadLetter(String topic) throws Exception {
    List<Integer> tries = Collections.synchronizedList(new ArrayList<>());
    DefaultMQPushConsumer consumer = consumer(topic, "dying");
    consumer.subscribe(topic, "*");
    consumer.setMaxReconsumeTimes(2);
    consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
      tries.add(messages.get(0).getReconsumeTimes());
      context.setDelayLevelWhenNextConsume(1);
      return ConsumeConcurrentlyStatus.RECONSUME_LATER;
    });
    consumer.start();
    sendAged(topic, 1, "doomed");
    await(() -> tries.size() == 3);
    DefaultLitePullConsumer reader = litePuller("undertaker");
    reader.start();
    String dead = "%DLQ%" + consumer.getConsumerGroup();
    List<Collection<MessageQueue>> found = new ArrayList<>();
    await(() -> {
      try {
        found.add(reader.fetchMessageQueues(dead));
        return true;
      } catch (MQClientException reason) {
        return false;
      }
    });
    reader.assign(found.get(0));
    for (MessageQueue queue : found.get(0)) reader.seekToBegin(queue);
    List<MessageExt> bodies = new ArrayList<>();
    await(() -> bodies.addAll(reader.poll(1_000)) || !bodies.isEmpty());
    MessageExt message = bodies.get(0);
    consumer.shutdown();
    reader.shutdown();
    return "tries " + tries + ", then " + message.getKeys() + " in " + unprefixed(message.getTopic()) + " queues "
        + found.get(0).size() + " after " + message.getReconsumeTimes() + " of "
        + unprefixed(message.getProperty("RETRY_TOPIC")) + " age " + message.getUserProperty("age")
        + " delay " + message.getDelayTimeLevel();
  }

  private static DefaultMQPushConsumer consumer(String topic, String group) {
    DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(name(group));
    consumer.setNamesrvAddr(OPTIONS.get("namesrv"));
    consumer.setMqClientApiTimeout(20_000);
    consumer.setInstanceName(name(group));
    consumer.setPollNameServerInterval(1_000);
    consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    return consumer;
  }

  private static DefaultLitePullConsumer litePuller(String group) {
    DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(name(group));
    consumer.setNamesrvAddr(OPTIONS.get("namesrv"));
    consumer.setMqClientApiTimeout(20_000);
    consumer.setInstanceName(name(group));
    consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    return consumer;
  }

  private static Set<String> poll(DefaultLitePullConsumer consumer, int count) throws Exception {
    Set<String> seen = new TreeSet<>();
    await(() -> {
      for (MessageExt message : consumer.poll(500)) seen.add(message.getKeys());
      return seen.size() >= count;
    });
    return seen;
  }

  private static void sendAged(String topic, int age) throws Exception {
    sendAged(topic, age, "k" + age);
  }

  private static void sendAged(String topic, int age, String key) throws Exception {
    producer.send(aged(topic, age, key));
  }

  private static Message aged(String topic, int age, String key) {
    Message message = new Message(topic, "TagA", key, key.getBytes(StandardCharsets.UTF_8));
    message.putUserProperty("age", String.valueOf(age));
    message.putUserProperty("place", age % 2 == 0 ? "west" : "east");
    return message;
  }

  private static String unprefixed(String text) {
    return text == null ? "none" : text.replace(OPTIONS.get("prefix") + "-", "");
  }

  interface Condition {
    boolean holds() throws Exception;
  }

  private static void await(Condition condition) throws Exception {
    long deadline = System.currentTimeMillis() + PATIENCE_MS;
    while (!condition.holds()) {
      if (System.currentTimeMillis() > deadline) throw new IllegalStateException("waited too long");
      Thread.sleep(50);
    }
  }
}
