// An ordinary transaction producer in Java, run from its source: sends `each` messages of every plan and
// ends them as their names say; what it does and is asked goes to standard output, one line per event.
//   java -cp ... Transactor.java namesrv=host:port topic=T group=G prefix=P each=N
// Plans: commit, rollback, late-commit and late-rollback (unknown at first, told when asked back).
// Lines: READY, HALF key, CHECK key, DONE (all sent); ends on end of input. 4.9 and 5.x alike.
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

public class Transactor {
  private static final String[] PLANS = {"commit", "rollback", "late-commit", "late-rollback"};

  public static void main(String[] args) throws Exception {
    Map<String, String> options = new HashMap<>();
    for (String arg : args) {
      int at = arg.indexOf('=');
      options.put(arg.substring(0, at), arg.substring(at + 1));
    }
    TransactionMQProducer producer = new TransactionMQProducer(options.get("group"));
    producer.setNamesrvAddr(options.get("namesrv"));
    producer.setMqClientApiTimeout(20_000);
    producer.setSendMsgTimeout(20_000);
    producer.setTransactionListener(new TransactionListener() {
      @Override
      public LocalTransactionState executeLocalTransaction(Message message, Object plan) {
        if (plan.toString().startsWith("late-")) return LocalTransactionState.UNKNOW;
        return outcome(plan.toString());
      }

      @Override
      public LocalTransactionState checkLocalTransaction(MessageExt message) {
        say("CHECK " + message.getKeys());
        return outcome(message.getKeys());
      }
    });
    producer.start();
    say("READY");
    int each = Integer.parseInt(options.get("each"));
    for (int i = 0; i < each; i++) {
      for (String plan : PLANS) {
        String key = options.get("prefix") + "/" + plan + "/" + i;
        Message message =
            new Message(options.get("topic"), "TagT", key, key.getBytes(StandardCharsets.UTF_8));
        TransactionSendResult result = producer.sendMessageInTransaction(message, plan);
        if (result.getSendStatus() != SendStatus.SEND_OK) throw new IllegalStateException(key);
        if (result.getTransactionId() == null) throw new IllegalStateException("no id: " + key);
        say("HALF " + key);
      }
    }
    say("DONE");
    while (System.in.read() >= 0) {
      // Answers checks until it is told to end.
    }
    producer.shutdown();
    Runtime.getRuntime().halt(0);
  }

  private static LocalTransactionState outcome(String text) {
    return text.contains("commit")
        ? LocalTransactionState.COMMIT_MESSAGE
        : LocalTransactionState.ROLLBACK_MESSAGE;
  }

  private static synchronized void say(String line) {
    System.out.println(line);
  }
}
