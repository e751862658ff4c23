# What a Python program does with the package `rocketmq`, that is with Apache's C++ client: send in every
# way it has, read by push, in order and by pull. Each case prints `CASE name verdict`.
#   PYTHONPATH=lib python3 python_client.py namesrv=host:port topic=T
import os
import sys
import threading
import time

from rocketmq.client import Message, Producer, PullConsumer, PushConsumer

OPTIONS = dict(arg.split('=', 1) for arg in sys.argv[1:])
TOPIC = OPTIONS['topic']
SENT = 11


def case(name, run):
    try:
        verdict = run()
    except Exception as reason:
        verdict = 'failed: %r' % (reason,)
    print('CASE', name, str(verdict).replace('\n', ' '), flush=True)


def wait(condition):
    end = time.time() + 60
    while not condition() and time.time() < end:
        time.sleep(0.05)


def made(kind, group, **more):
    client = kind(TOPIC + group, **more)
    client.set_namesrv_addr(OPTIONS['namesrv'])
    return client


def message(key, body, level=0):
    one = Message(TOPIC)
    one.set_keys(key)
    one.set_tags('TagA')
    one.set_body(body)
    one.set_property('日本', '値')
    if level > 0:
        one.set_delay_time_level(level)
    return one


producer = made(Producer, '-producers')
producer.set_timeout(20_000)
producer.start()


def send_async():
    told = []
    done = threading.Event()
    producer.send_async(
        message('async', 'b'),
        lambda result: (told.append('ok'), done.set()),
        lambda reason: (told.append(repr(reason)), done.set()),
    )
    done.wait(20)
    return told


seen = {}
ordered = []


def read_all(consumer, name, on_message, **more):
    consumer.set_instance_name(TOPIC + name)
    consumer.subscribe(TOPIC, on_message, **more)
    consumer.start()


def note(one):
    seen[one.keys.decode()] = '%d %s %s' % (len(one.body), one.tags.decode(), one['日本'].decode())
    return True


def note_in_order(one):
    if one.body.startswith(b'in order'):
        ordered.append(one.keys.decode())
    return True


push = made(PushConsumer, '-push')
orderly = made(PushConsumer, '-orderly', orderly=True)
read_all(push, '-push', note)
read_all(orderly, '-orderly', note_in_order, expression='TagA || TagB')

case('sync', lambda: [int(producer.send_sync(message('k%d' % i, 'b')).status) for i in range(4)])
case('async', send_async)
case('oneway', lambda: producer.send_oneway(message('oneway', 'b')))
case('orderly', lambda: [int(producer.send_orderly(message('o%d' % i, 'in order'), 3).status) for i in range(3)])
case('large', lambda: int(producer.send_sync(message('large', 'x' * 100_000)).status))
case('delayed', lambda: int(producer.send_sync(message('later', 'b', 1)).status))


def read():
    wait(lambda: len(seen) == SENT)
    return sorted(seen.items())


def pulled():
    consumer = made(PullConsumer, '-pull')
    consumer.start()
    return sorted(one.keys.decode() for one in consumer.pull(TOPIC))


case('push', read)
wait(lambda: len(ordered) >= 3)
case('push-orderly', lambda: ordered)
case('pull', pulled)
print('DONE', flush=True)
os._exit(0)
