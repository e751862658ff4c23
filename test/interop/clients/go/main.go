// An ordinary RocketMQ program in Go, outside our process; same arguments, modes and history as
// DrClient.java: mode=produce|batch|consume|orderly|broadcast|retry namesrv= topic= group= history=
// [rate=100] [count=0] [seconds=0] [threads=1] [prefix=p] [size=0] [batch=16] [level=0] [aged=on]
// [sql=EXPRESSION], and mode=transaction: `count` half messages of every plan, ended as their keys say,
// late ones when the broker asks (op check); it stays to answer until it is told to stop. mode=request: asks
// `count` questions, the last one asynchronously, of a consumer of its own; the key is the answer.
// Every event is one line, written through to the operating system before it goes on.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

type event struct {
	T         int64  `json:"t"`
	Op        string `json:"op"`
	Phase     string `json:"phase,omitempty"`
	Key       string `json:"key"`
	Queue     string `json:"queue,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
	Reconsume *int32 `json:"reconsume,omitempty"`
	Error     string `json:"error,omitempty"`
}

var (
	options = map[string]string{}
	history *os.File
	lock    sync.Mutex
)

func text(name string, otherwise string) string {
	if value, ok := options[name]; ok {
		return value
	}
	if otherwise == "" {
		fail(fmt.Errorf("missing argument %s", name))
	}
	return otherwise
}

func number(name string, otherwise int) int {
	value, err := strconv.Atoi(text(name, strconv.Itoa(otherwise)))
	if err != nil {
		fail(err)
	}
	return value
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func record(e event) {
	e.T = time.Now().UnixMilli()
	line, err := json.Marshal(e)
	if err != nil {
		fail(err)
	}
	lock.Lock()
	defer lock.Unlock()
	if _, err := history.Write(append(line, '\n')); err != nil {
		fail(err)
	}
}

// Empty keys: nothing is signed.
func credentials() primitive.Credentials {
	return primitive.Credentials{AccessKey: options["accessKey"], SecretKey: options["secretKey"]}
}

func queueOf(queue *primitive.MessageQueue) string {
	if queue == nil {
		return "?"
	}
	return fmt.Sprintf("%s@%d", queue.BrokerName, queue.QueueId)
}

func main() {
	for _, arg := range os.Args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		options[name] = value
	}
	rlog.SetLogLevel("error")
	file, err := os.OpenFile(text("history", ""), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		fail(err)
	}
	history = file
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	switch mode := text("mode", ""); mode {
	case "produce", "batch":
		produce(stop, mode == "batch")
	case "transaction":
		transact(stop)
	case "request":
		request()
	case "consume", "orderly", "broadcast", "retry":
		consume(stop, mode)
	default:
		fail(fmt.Errorf("unknown mode %s", mode))
	}
}

func produce(stop context.Context, isBatch bool) {
	p, err := rocketmq.NewProducer(
		producer.WithNameServer([]string{text("namesrv", "")}),
		producer.WithGroupName(text("group", "PG")),
		producer.WithCredentials(credentials()),
		producer.WithSendMsgTimeout(time.Duration(number("timeout", 3_000))*time.Millisecond),
		producer.WithRetry(2))
	if err != nil {
		fail(err)
	}
	if err := p.Start(); err != nil {
		fail(err)
	}
	fmt.Println("READY")
	threads := number("threads", 1)
	var workers sync.WaitGroup
	for i := 0; i < threads; i++ {
		workers.Add(1)
		go func(prefix string) {
			defer workers.Done()
			sendLoop(stop, p, prefix, isBatch, threads)
		}(fmt.Sprintf("%s.%d", text("prefix", "p"), i))
	}
	workers.Wait()
	if err := p.Shutdown(); err != nil {
		fail(err)
	}
}

func sendLoop(stop context.Context, p rocketmq.Producer, prefix string, isBatch bool, threads int) {
	width := 1
	if isBatch {
		width = number("batch", 16)
	}
	count, seconds := number("count", 0), number("seconds", 0)
	gap := time.Duration(float64(time.Second) * float64(width*threads) / float64(number("rate", 100)))
	start := time.Now()
	next := start
	for serial := 0; count == 0 || serial*width < count; serial++ {
		// After an outage a real sender goes on at its pace: no catching up beyond a second.
		if time.Since(next) > time.Second {
			next = time.Now()
		}
		select {
		case <-stop.Done():
			return
		case <-time.After(time.Until(next)):
		}
		next = next.Add(gap)
		if seconds > 0 && time.Since(start) > time.Duration(seconds)*time.Second {
			return
		}
		var messages []*primitive.Message
		for i := 0; i < width; i++ {
			messages = append(messages, message(fmt.Sprintf("%s-%d", prefix, serial*width+i)))
		}
		send(p, messages)
	}
}

func message(key string) *primitive.Message {
	body := key
	if missing := number("size", 0) - len(key); missing > 0 {
		body += strings.Repeat(".", missing)
	}
	m := primitive.NewMessage(text("topic", ""), []byte(body)).
		WithTag(text("tag", "TagA")).WithKeys([]string{key})
	if level := number("level", 0); level > 0 {
		m.WithDelayTimeLevel(level)
	}
	if text("aged", "off") == "on" {
		// The serial number is behind the last dash.
		m.WithProperty("age", key[strings.LastIndex(key, "-")+1:])
	}
	return m
}

type planned struct{}

func outcome(key string) primitive.LocalTransactionState {
	if strings.Contains(key, "commit") {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

func (planned) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	if strings.Contains(m.GetKeys(), "late-") {
		return primitive.UnknowState
	}
	return outcome(m.GetKeys())
}

func (planned) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	record(event{Op: "check", Key: strings.TrimSpace(m.GetKeys())})
	return outcome(m.GetKeys())
}

func transact(stop context.Context) {
	p, err := rocketmq.NewTransactionProducer(planned{},
		producer.WithNameServer([]string{text("namesrv", "")}),
		producer.WithGroupName(text("group", "PG")))
	if err != nil {
		fail(err)
	}
	if err := p.Start(); err != nil {
		fail(err)
	}
	fmt.Println("READY")
	for i := 0; i < number("count", 1); i++ {
		for _, plan := range []string{"commit", "rollback", "late-commit", "late-rollback"} {
			m := message(fmt.Sprintf("%s-%d", plan, i))
			e := event{Op: "send", Phase: "ok", Key: fmt.Sprintf("%s-%d", plan, i)}
			if result, err := p.SendMessageInTransaction(context.Background(), m); err != nil {
				e.Phase, e.Error = "unknown", err.Error()
			} else if result.Status != primitive.SendOK {
				e.Phase = "unknown"
			}
			record(e)
		}
	}
	<-stop.Done()
	if err := p.Shutdown(); err != nil {
		fail(err)
	}
}

func request() {
	names := []string{text("namesrv", "")}
	replies, err := rocketmq.NewProducer(producer.WithNameServer(names),
		producer.WithGroupName(text("group", "RG")+"-replies"), producer.WithInstanceName("replies"))
	if err != nil {
		fail(err)
	}
	if err := replies.Start(); err != nil {
		fail(err)
	}
	answering, err := rocketmq.NewPushConsumer(consumer.WithNameServer(names),
		consumer.WithGroupName(text("group", "RG")+"-answering"),
		consumer.WithInstance("answering"),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		fail(err)
	}
	err = answering.Subscribe(text("topic", ""), consumer.MessageSelector{},
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				if m.GetProperty(primitive.PropertyCorrelationID) == "" {
					continue
				}
				reply, err := consumer.CreateReplyMessage(m, nil)
				if err != nil {
					fail(err)
				}
				reply.Body = []byte("re: " + string(m.Body))
				if _, err := replies.SendSync(ctx, reply); err != nil {
					fmt.Fprintln(os.Stderr, "reply", err)
				}
			}
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		fail(err)
	}
	if err := answering.Start(); err != nil {
		fail(err)
	}
	asking, err := rocketmq.NewProducer(producer.WithNameServer(names),
		producer.WithGroupName(text("group", "RG")), producer.WithInstanceName("asking"))
	if err != nil {
		fail(err)
	}
	if err := asking.Start(); err != nil {
		fail(err)
	}
	fmt.Println("READY")
	// Answers come over what a heartbeat told the broker. This library sends its first one a second after
	// the start, to brokers it knows by then, and none before a request whose topic is there already.
	first := primitive.NewMessage(text("topic", ""), []byte("to know the broker"))
	if _, err := asking.SendSync(context.Background(), first); err != nil {
		fail(err)
	}
	time.Sleep(2 * time.Second)
	count := number("count", 2)
	for i := 0; i < count; i++ {
		ask(asking, fmt.Sprintf("q%d", i), i == count-1)
	}
	if err := asking.Shutdown(); err != nil {
		fail(err)
	}
	if err := answering.Shutdown(); err != nil {
		fail(err)
	}
	if err := replies.Shutdown(); err != nil {
		fail(err)
	}
}

func ask(p rocketmq.Producer, question string, isAsync bool) {
	timeout := time.Duration(number("timeout", 20_000)) * time.Millisecond
	note := func(answer *primitive.Message, err error) {
		if err != nil {
			record(event{Op: "send", Phase: "fail", Key: question, Error: err.Error()})
			return
		}
		record(event{Op: "send", Phase: "ok", Key: string(answer.Body)})
	}
	m := primitive.NewMessage(text("topic", ""), []byte(question))
	if !isAsync {
		note(p.Request(context.Background(), timeout, m))
		return
	}
	done := make(chan struct{})
	var once sync.Once
	// The library calls back twice.
	back := func(ctx context.Context, answer *primitive.Message, err error) {
		once.Do(func() {
			note(answer, err)
			close(done)
		})
	}
	err := p.RequestAsync(context.Background(), timeout, back, m)
	if err != nil {
		fail(err)
	}
	select {
	case <-done:
	case <-time.After(timeout):
		note(nil, fmt.Errorf("no answer"))
	}
}

func send(p rocketmq.Producer, messages []*primitive.Message) {
	for _, m := range messages {
		record(event{Op: "send", Phase: "invoke", Key: strings.TrimSpace(m.GetKeys())})
	}
	result, err := p.SendSync(context.Background(), messages...)
	for i, m := range messages {
		e := event{Op: "send", Key: strings.TrimSpace(m.GetKeys())}
		switch {
		case err != nil:
			// Retries inside the client hide whether an earlier try was stored.
			e.Phase, e.Error = "unknown", err.Error()
		case result.Status != primitive.SendOK:
			e.Phase, e.Error = "unknown", fmt.Sprintf("status %d", result.Status)
		default:
			offset := result.QueueOffset + int64(i)
			e.Phase, e.Queue, e.Offset = "ok", queueOf(result.MessageQueue), &offset
		}
		record(e)
	}
}

func consume(stop context.Context, mode string) {
	model := consumer.Clustering
	if mode == "broadcast" {
		model = consumer.BroadCasting
	}
	c, err := rocketmq.NewPushConsumer(
		consumer.WithNameServer([]string{text("namesrv", "")}),
		consumer.WithGroupName(text("group", "CG")),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithCredentials(credentials()),
		consumer.WithConsumerModel(model),
		consumer.WithConsumerOrder(mode == "orderly"))
	if err != nil {
		fail(err)
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: text("filter", "*")}
	if sql, ok := options["sql"]; ok {
		selector = consumer.MessageSelector{Type: consumer.SQL92, Expression: sql}
	}
	err = c.Subscribe(text("topic", ""), selector,
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			isRefused := false
			for _, m := range messages {
				offset, reconsume := m.QueueOffset, m.ReconsumeTimes
				record(event{Op: "consume", Key: strings.TrimSpace(m.GetKeys()),
					Queue: queueOf(m.Queue), Offset: &offset, Reconsume: &reconsume})
				isRefused = isRefused || (mode == "retry" && reconsume == 0)
			}
			if isRefused {
				return consumer.ConsumeRetryLater, nil
			}
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		fail(err)
	}
	if err := c.Start(); err != nil {
		fail(err)
	}
	fmt.Println("READY")
	if seconds := number("seconds", 0); seconds > 0 {
		select {
		case <-stop.Done():
		case <-time.After(time.Duration(seconds) * time.Second):
		}
	} else {
		<-stop.Done()
	}
	if err := c.Shutdown(); err != nil {
		fail(err)
	}
}
