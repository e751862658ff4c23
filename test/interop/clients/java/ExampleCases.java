// Runs the examples of rocketmq-example named on the command line, one after the other in one machine,
// unchanged: words behind a comma are arguments of its main. Prints `CASE name verdict sends`: ended, or
// what was thrown; and how many results with SEND_OK it printed. Where it finds its name server is said
// by -Drocketmq.namesrv.addr.
//   java -cp 'server jars' ExampleCases.java quickstart.Producer ...
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

public class ExampleCases {
  private static final long PATIENCE_MS = 90_000;

  public static void main(String[] names) throws Exception {
    PrintStream out = System.out;
    for (String name : names) {
      ByteArrayOutputStream printed = new ByteArrayOutputStream();
      System.setOut(new PrintStream(printed, true));
      String verdict = run(name.split(","));
      String text = printed.toString(StandardCharsets.UTF_8);
      int sends = text.split("SEND_OK", -1).length - 1;
      if (text.contains("Exception")) System.err.println(text);
      out.println("CASE " + name + " " + verdict + " " + sends);
    }
    out.flush();
    Runtime.getRuntime().halt(0);
  }

  private static String run(String[] words) throws Exception {
    String[] verdict = {"ended"};
    Thread thread = new Thread(() -> {
      try {
        Class<?> example = Class.forName("org.apache.rocketmq.example." + words[0]);
        Object args = Arrays.copyOfRange(words, 1, words.length);
        example.getMethod("main", String[].class).invoke(null, args);
      } catch (Throwable reason) {
        verdict[0] = String.valueOf(reason.getCause() == null ? reason : reason.getCause());
      }
    });
    thread.setDaemon(true);
    thread.start();
    thread.join(PATIENCE_MS);
    return thread.isAlive() ? "runs on" : verdict[0];
  }
}
