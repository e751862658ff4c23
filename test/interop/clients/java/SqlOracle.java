// What Apache's own SQL92 filter says: reads lines of `base64(expression) base64(properties)` and prints
// one letter per line: E = the expression is refused, T = the message passes, F = it does not.
//   java -cp 'server jars' SqlOracle.java < cases
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.apache.rocketmq.broker.filter.MessageEvaluationContext;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.filter.expression.BooleanExpression;
import org.apache.rocketmq.filter.expression.MQFilterException;
import org.apache.rocketmq.filter.parser.SelectorParser;

public class SqlOracle {
  public static void main(String[] args) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    PrintStream out = new PrintStream(System.out, false);
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] parts = line.split(" ", -1);
      out.println(verdict(text(parts[0]), text(parts[1])));
    }
    out.flush();
  }

  private static String text(String base64) {
    return new String(Base64.getDecoder().decode(base64), StandardCharsets.UTF_8);
  }

  private static String verdict(String expression, String properties) {
    BooleanExpression compiled;
    try {
      compiled = SelectorParser.parse(expression);
    } catch (MQFilterException reason) {
      return "E";
    }
    try {
      Object result =
          compiled.evaluate(new MessageEvaluationContext(MessageDecoder.string2messageProperties(properties)));
      return Boolean.TRUE.equals(result) ? "T" : "F";
    } catch (Throwable reason) {
      // As the broker: a message whose evaluation fails does not pass.
      return "F";
    }
  }
}
