// What programs of any Apache Java client since 4.2 may do, one case each, all at once. It uses nothing that
// 4.2.0 lacks, so that one source runs with every version. Each case prints `CASE name verdict`
// with nothing in it that differs between two good brokers.
//   java -cp 'client jars' OlderClients.java namesrv=host:port prefix=P
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

public class OlderClients {
  private static final long PATIENCE_MS = 60_000;
  private static final Map<String, String> OPTIONS = new HashMap<>();
  /** What brokers and clients add, or what is chosen anew each time. */
  private static final List<String> VARIES = Arrays.asList(
      "UNIQ_KEY", "CONSUME_START_TIME", "MIN_OFFSET", "MAX_OFFSET", "CLUSTER", "MSG_REGION", "TRACE_ON",
      "ORIGIN_MESSAGE_ID", "REAL_TOPIC", "REAL_QID");
  private static DefaultMQProducer producer;

  interface Case {
    String run(String topic) throws Exception;
  }

  public static void main(String[] args) throws Exception {
    for (String arg : args) OPTIONS.put(arg.substring(0, arg.indexOf('=')), arg.substring(arg.indexOf('=') + 1));
    producer = producer("producers", false);
    Map<String, Case> cases = new TreeMap<>();
    cases.put("made-topics", OlderClients::madeTopics);
    cases.put("sends", OlderClients::sends);
    cases.put("vip-port", OlderClients::vipPort);
    cases.put("odd-properties", OlderClients::oddProperties);
    cases.put("limits", OlderClients::limits);
    cases.put("large-bodies", OlderClients::largeBodies);
    cases.put("queries", OlderClients::queries);
    cases.put("pulls", OlderClients::pulls);
    cases.put("sent-back", OlderClients::sentBack);
    cases.put("dead-letter", OlderClients::deadLetter);
    cases.put("same-hash", OlderClients::sameHash);
    List<Thread> threads = new ArrayList<>();
    cases.forEach((name, each) -> {
      Thread thread = new Thread(() -> {
        String verdict;
        try {
          create(name(name), 4);
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

  /** The clients of 5.x ask for attributes, too. */
  private static void create(String topic, int queues) throws Exception {
    for (Method method : DefaultMQProducer.class.getMethods()) {
      Class<?>[] types = method.getParameterTypes();
      if (!method.getName().equals("createTopic")) continue;
      if (types.length == 3) method.invoke(producer, "TBW102", topic, queues);
      else if (types.length == 4 && types[3] == Map.class) method.invoke(producer, "TBW102", topic, queues, new HashMap<>());
      else continue;
      return;
    }
    throw new IllegalStateException("no createTopic");
  }

  /** Whoever made a topic gets its own route, not the one of the topic it was made after. */
  private static String madeTopics(String topic) throws Exception {
    Set<Integer> queues = new TreeSet<>();
    for (int i = 0; i < 20; i++) {
      create(topic + i, 3);
      queues.add(producer.fetchPublishMessageQueues(topic + i).size());
    }
    return "" + queues;
  }

  private static String sends(String topic) throws Exception {
    List<Object> out = new ArrayList<>();
    out.add(producer.send(message(topic, "sync")).getSendStatus());
    CompletableFuture<SendResult> later = new CompletableFuture<>();
    producer.send(message(topic, "async"), new SendCallback() {
      @Override
      public void onSuccess(SendResult result) {
        later.complete(result);
      }

      @Override
      public void onException(Throwable reason) {
        later.completeExceptionally(reason);
      }
    });
    out.add(later.get(PATIENCE_MS, TimeUnit.MILLISECONDS).getSendStatus());
    producer.sendOneway(message(topic, "oneway"));
    out.add(producer.send(message(topic, "selected"), (queues, m, arg) -> queue(queues, (Integer) arg), 3).getMessageQueue().getQueueId());
    List<Message> batch = new ArrayList<>();
    for (int i = 0; i < 10; i++) batch.add(message(topic, "batch" + i));
    SendResult result = producer.send(batch, queue(topic, 2));
    out.add(result.getSendStatus() + " " + result.getMsgId().split(",").length + " " + result.getOffsetMsgId().split(",").length);
    await(() -> stored(topic) == 14);
    return "" + out;
  }

  private static long stored(String topic) throws Exception {
    long count = 0;
    for (MessageQueue queue : producer.fetchPublishMessageQueues(topic)) count += producer.maxOffset(queue);
    return count;
  }

  private static String vipPort(String topic) throws Exception {
    DefaultMQProducer other = producer("vip", true);
    other.send(message(topic, "v1"));
    other.send(Arrays.asList(message(topic, "v2"), message(topic, "v3")));
    DefaultMQPushConsumer consumer = consumer(topic);
    consumer.setVipChannelEnabled(true);
    Set<String> seen = listen(consumer, topic, "*", MessageExt::getKeys);
    await(() -> seen.size() == 3);
    consumer.shutdown();
    other.shutdown();
    return "" + seen;
  }

  private static String oddProperties(String topic) throws Exception {
    Message odd = message(topic, "日本 キー 😀");
    odd.setFlag(-7);
    odd.putUserProperty("日本", "値 😀");
    odd.putUserProperty("with space", " a b ");
    odd.putUserProperty("quote\"'", "{\"a\":1}");
    odd.putUserProperty("line", "a\nb\tc");
    odd.putUserProperty("long", repeat("v", 2_000));
    producer.send(odd, queue(topic, 0));
    producer.send(new Message(topic, "bare".getBytes(StandardCharsets.UTF_8)), queue(topic, 1));
    producer.send(new Message(topic, "t", "a b  c a", new byte[1]), queue(topic, 2));
    producer.send(new Message(topic, " a || b ", repeat("K", 9_000), new byte[1]), queue(topic, 3));
    List<String> out = new ArrayList<>();
    for (int id = 0; id < 4; id++) {
      MessageExt got = pull(topic, id);
      String shown = shown(got);
      out.add((shown.length() > 100 ? "hash " + shown.hashCode() : shown) + " flag " + got.getFlag());
    }
    for (String key : new String[] {"a", "b", "c", repeat("K", 9_000), "日本", "キー", "😀"}) out.add(tried(() -> found(topic, key, 10)));
    return "" + out;
  }

  private static String limits(String topic) throws Exception {
    DefaultMQProducer other = producer("limits", false);
    other.setMaxMessageSize(8 * 1024 * 1024);
    other.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
    List<String> out = new ArrayList<>();
    for (int size : new int[] {4 * 1024 * 1024, 4 * 1024 * 1024 + 1})
      out.add("body " + tried(() -> other.send(new Message(topic, noise(size))).getSendStatus()));
    for (int size : new int[] {32_600, 32_767, 70_000}) {
      Message large = message(topic, "p");
      large.putUserProperty("p", repeat("v", size));
      out.add("property " + tried(() -> other.send(large).getSendStatus()));
    }
    for (int count : new int[] {3_000, 5_000}) {
      Message many = message(topic, "m");
      for (int i = 0; i < count; i++) many.putUserProperty("k" + i, "v");
      out.add("properties " + tried(() -> other.send(many).getSendStatus()));
    }
    out.add("level " + tried(() -> {
      Message late = message(topic, "level");
      late.setDelayTimeLevel(99);
      return other.send(late).getSendStatus();
    }));
    MessageQueue missing = new MessageQueue(topic, queue(topic, 0).getBrokerName(), 9);
    out.add("queue " + tried(() -> other.send(message(topic, "q"), missing).getSendStatus()));
    other.shutdown();
    return "" + out;
  }

  private static String largeBodies(String topic) throws Exception {
    producer.send(new Message(topic, repeat("compressible ", 200_000).getBytes(StandardCharsets.UTF_8)), queue(topic, 0));
    producer.send(new Message(topic, noise(3_500_000)), queue(topic, 1));
    List<String> out = new ArrayList<>();
    for (int id = 0; id < 2; id++) {
      MessageExt got = pull(topic, id);
      out.add(got.getBody().length + " crc " + got.getBodyCRC() + " is " + Arrays.hashCode(got.getBody()));
    }
    return "" + out;
  }

  private static String queries(String topic) throws Exception {
    SendResult last = null;
    for (int i = 0; i < 40; i++) last = producer.send(message(topic, "same"), queue(topic, 0));
    String offsetId = last.getOffsetMsgId();
    await(() -> "40".equals(tried(() -> found(topic, "same", 64))));
    List<String> out = new ArrayList<>();
    out.add(tried(() -> producer.viewMessage(offsetId).getKeys()));
    for (int most : new int[] {5, 0, 1_000}) out.add(tried(() -> found(topic, "same", most)));
    out.add(tried(() -> found(topic, "none", 9)));
    MessageQueue empty = queue(topic, 3);
    out.add(producer.minOffset(empty) + " " + producer.maxOffset(empty) + " " + producer.earliestMsgStoreTime(empty));
    MessageQueue full = queue(topic, 0);
    long now = System.currentTimeMillis();
    out.add(producer.searchOffset(full, now + 1_000_000) + " " + producer.searchOffset(full, now - 1_000_000));
    return "" + out;
  }

  private static String pulls(String topic) throws Exception {
    MessageQueue queue = queue(topic, 0);
    for (int i = 0; i < 40; i++) {
      Message message = message(topic, "p" + i);
      message.setTags(i % 4 == 0 ? "A" : "B");
      producer.send(message, queue);
    }
    DefaultMQPullConsumer consumer = puller();
    List<String> out = new ArrayList<>();
    for (Object[] ask : new Object[][] {{"*", 0L, 32}, {"*", 40L, 32}, {"*", 100L, 32}, {"A", 0L, 32}, {"C", 0L, 32}, {"", 3L, 1}, {"*", 0L, 1_024}}) {
      PullResult got = consumer.pull(queue, (String) ask[0], (Long) ask[1], (Integer) ask[2]);
      int count = got.getMsgFoundList() == null ? 0 : got.getMsgFoundList().size();
      out.add(got.getPullStatus() + " " + count + " next " + got.getNextBeginOffset() + " of " + got.getMinOffset() + "-" + got.getMaxOffset());
    }
    for (MessageQueue none : new MessageQueue[] {new MessageQueue(topic, queue.getBrokerName(), 9), new MessageQueue(topic + "-none", queue.getBrokerName(), 0)})
      out.add(tried(() -> consumer.pull(none, "*", 0, 1).getPullStatus()));
    consumer.shutdown();
    return "" + out;
  }

  private static String sentBack(String topic) throws Exception {
    producer.send(message(topic, "back"));
    DefaultMQPushConsumer consumer = consumer(topic);
    Set<String> seen = new ConcurrentSkipListSet<>();
    consumer.subscribe(topic, "*");
    consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
      context.setDelayLevelWhenNextConsume(1);
      MessageExt first = messages.get(0);
      seen.add(first.getReconsumeTimes() + " " + shown(first));
      return first.getReconsumeTimes() == 0 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
    });
    consumer.start();
    await(() -> seen.size() == 2);
    consumer.shutdown();
    return seen.toString().replace(topic, "TOPIC");
  }

  private static String deadLetter(String topic) throws Exception {
    DefaultMQPushConsumer consumer = consumer(topic);
    consumer.setMaxReconsumeTimes(0);
    consumer.subscribe(topic, "*");
    consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.RECONSUME_LATER);
    consumer.start();
    producer.send(message(topic, "doomed"));
    String dead = "%DLQ%" + consumer.getConsumerGroup();
    await(() -> "1".equals(tried(() -> producer.maxOffset(new MessageQueue(dead, queue(topic, 0).getBrokerName(), 0)))));
    MessageExt found = puller().pull(new MessageQueue(dead, queue(topic, 0).getBrokerName(), 0), "*", 0, 1).getMsgFoundList().get(0);
    consumer.shutdown();
    return (found.getReconsumeTimes() + " " + shown(found)).replace(topic, "TOPIC");
  }

  /** AaAa and BBBB have one hash: the client must choose, and what it leaves is not delivered again. */
  private static String sameHash(String topic) throws Exception {
    DefaultMQPushConsumer consumer = consumer(topic);
    Set<String> seen = listen(consumer, topic, "AaAa || 标签", MessageExt::getTags);
    for (String tag : new String[] {"BBBB", "标签", "x", "AaAa"}) {
      Message message = message(topic, tag);
      message.setTags(tag);
      producer.send(message, queue(topic, 0));
    }
    await(() -> seen.contains("AaAa"));
    consumer.shutdown();
    return "" + seen;
  }

  private static String name(String of) {
    return OPTIONS.get("prefix") + "-" + of;
  }

  private static DefaultMQProducer producer(String group, boolean isVip) throws Exception {
    DefaultMQProducer made = new DefaultMQProducer(name(group));
    made.setNamesrvAddr(OPTIONS.get("namesrv"));
    made.setInstanceName(group);
    made.setSendMsgTimeout(20_000);
    made.setVipChannelEnabled(isVip);
    made.start();
    return made;
  }

  private static DefaultMQPushConsumer consumer(String topic) {
    DefaultMQPushConsumer made = new DefaultMQPushConsumer(topic + "-group");
    made.setNamesrvAddr(OPTIONS.get("namesrv"));
    made.setInstanceName(topic);
    made.setVipChannelEnabled(false);
    made.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    return made;
  }

  private static DefaultMQPullConsumer puller() throws Exception {
    DefaultMQPullConsumer made = new DefaultMQPullConsumer(name("pullers"));
    made.setNamesrvAddr(OPTIONS.get("namesrv"));
    made.setInstanceName("pull" + System.nanoTime());
    made.start();
    return made;
  }

  interface Show {
    String of(MessageExt message);
  }

  private static Set<String> listen(DefaultMQPushConsumer consumer, String topic, String tags, Show show) throws Exception {
    Set<String> seen = new ConcurrentSkipListSet<>();
    consumer.subscribe(topic, tags);
    consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
      for (MessageExt message : messages) seen.add(show.of(message));
      return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
    });
    consumer.start();
    return seen;
  }

  private static MessageExt pull(String topic, int queueId) throws Exception {
    DefaultMQPullConsumer consumer = puller();
    MessageExt first = consumer.pull(queue(topic, queueId), "*", 0, 1).getMsgFoundList().get(0);
    consumer.shutdown();
    return first;
  }

  private static Object found(String topic, String key, int most) throws Exception {
    return producer.queryMessage(topic, key, most, 0, System.currentTimeMillis() + 60_000).getMessageList().size();
  }

  private static MessageQueue queue(String topic, int id) throws Exception {
    return queue(producer.fetchPublishMessageQueues(topic), id);
  }

  private static MessageQueue queue(List<MessageQueue> queues, int id) {
    for (MessageQueue queue : queues) if (queue.getQueueId() == id) return queue;
    throw new IllegalArgumentException("no queue " + id + " in " + queues);
  }

  private static Message message(String topic, String key) {
    return new Message(topic, "TagA", key, key.getBytes(StandardCharsets.UTF_8));
  }

  private static String shown(MessageExt message) {
    Map<String, String> left = new TreeMap<>(message.getProperties());
    left.keySet().removeAll(VARIES);
    return left.toString();
  }

  private static String tried(Callable<Object> action) {
    try {
      return String.valueOf(action.call());
    } catch (MQBrokerException reason) {
      return "code " + reason.getResponseCode();
    } catch (MQClientException reason) {
      boolean isBrokers = reason.getCause() instanceof MQBrokerException;
      return "code " + (isBrokers ? ((MQBrokerException) reason.getCause()).getResponseCode() : reason.getResponseCode());
    } catch (Exception reason) {
      return reason.getClass().getSimpleName();
    }
  }

  private static void await(Callable<Boolean> condition) throws Exception {
    long end = System.currentTimeMillis() + PATIENCE_MS;
    while (!condition.call()) {
      if (System.currentTimeMillis() > end) throw new TimeoutException();
      Thread.sleep(50);
    }
  }

  private static byte[] noise(int size) {
    byte[] bytes = new byte[size];
    new Random(size).nextBytes(bytes);
    return bytes;
  }

  private static String repeat(String text, int times) {
    return String.join("", Collections.nCopies(times, text));
  }
}
