// Many runs of mqadmin in one JVM: reads one command a line (arguments separated by tabs), runs Apache's
// own MQAdminStartup with it and prints what it printed between two marks. A run that ends the process
// ends it here too; the caller sees that as a failure.
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.tools.command.MQAdminStartup;

public class AdminLoop {
    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        hurry(Thread.currentThread());
        out.println("READY");
        out.flush();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            PrintStream quiet = new PrintStream(bytes, true, "UTF-8");
            System.setOut(quiet);
            System.setErr(quiet);
            try {
                forgetCommands();
                MQAdminStartup.main0(line.split("\t"), null);
            } catch (Throwable reason) {
                reason.printStackTrace(quiet);
            }
            quiet.flush();
            System.setOut(out);
            byte[] text = bytes.toByteArray();
            out.println("ANSWER " + text.length);
            out.write(text);
            out.println();
            out.flush();
        }
        System.exit(0);
    }

    /** A client that closes waits up to 3 s for a thread of its own that waits for events: it is told at once. */
    private static void hurry(Thread main) {
        Thread waker = new Thread(() -> {
            for (;;) {
                boolean isClosing = Arrays.stream(main.getStackTrace())
                    .anyMatch(frame -> frame.getClassName().endsWith(".ServiceThread"));
                for (Thread each : isClosing ? Thread.getAllStackTraces().keySet() : List.<Thread>of()) {
                    if (each.getName().startsWith("NettyEventExecut")) each.interrupt();
                }
                LockSupport.parkNanos(10_000_000);
            }
        });
        waker.setDaemon(true);
        waker.start();
    }

    /** Some commands keep a producer or consumer that they close after one run: each run gets new ones. */
    private static void forgetCommands() throws Exception {
        for (Field field : MQAdminStartup.class.getDeclaredFields()) {
            if (!List.class.isAssignableFrom(field.getType())) continue;
            field.setAccessible(true);
            ((List<?>) field.get(null)).clear();
        }
    }
}
