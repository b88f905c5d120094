# SPDX-License-Identifier: Apache-2.0
#
# usage: malformed.py DEVICE ADDRESS
#
# Sends what is wrong, or odd, to a VM that serves echo (7) and to addresses around it, by the
# device itself, so that the kernel mends nothing. After each kind the VM must still answer.

import logging
import random
import socket
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption, fragment  # noqa: E402
from scapy.packet import Raw, fuzz  # noqa: E402

device, address = sys.argv[1:]
host = address.rsplit(".", 1)[0] + ".1"
chance = random.Random(19)
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
out.bind((device, 0x0800))
refused = 0


def send(packet):
    """A packet that the device's driver itself refuses is none that a VM could see."""
    global refused
    try:
        out.send(bytes(packet))
    except OSError:
        refused += 1


def answers():
    with socket.create_connection((address, 7), 60) as peer:
        peer.sendall(b"still there?")
        return read(peer, 12) == b"still there?"


def read(peer, size):
    came = b""
    while len(came) < size and (more := peer.recv(size - len(came))):
        came += more
    return came


def ip(**fields):
    return IP(**({"src": host, "dst": address} | fields))


def tcp(**fields):
    return TCP(**({"sport": 40000, "dport": 7, "flags": "S", "seq": 1000} | fields))


def udp(**fields):
    return UDP(**({"sport": 40000, "dport": 7} | fields))


bodies = [tcp(), udp() / b"hello", ICMP() / b"hello"]


def bad_sums():
    for body in bodies:
        yield ip(chksum=0xbad) / body
        yield ip() / with_sum(body, 0xbad)
        yield ip() / with_sum(body, 0)
        yield ip(chksum=0) / with_sum(body, 0xffff)


def with_sum(body, value):
    changed = body.copy()
    changed.chksum = value
    return changed


def bad_lengths():
    for body in bodies:
        for length in (0, 1, 19, 20, 21, 27, 28, 39, 40, 41, 1500, 65535):
            yield ip(len=length) / body
        for words in range(16):
            yield ip(ihl=words) / body
        for cut in range(len(bytes(ip() / body))):
            yield Raw(bytes(ip() / body)[:cut])
            yield Raw(bytes(ip(len=cut) / body)[:cut])
    for length in (0, 1, 7, 8, 9, 12, 13, 14, 1000, 65535):
        yield ip() / udp(len=length) / b"hello"
    for words in range(16):
        yield ip() / tcp(dataofs=words)
        yield ip() / tcp(dataofs=words) / (b"x" * 30)


def fragments():
    whole = bytes(udp() / bytes(3000))
    # Whole, in order, backwards, twice, without the first, the last or one in the midst.
    parts = fragment(ip(id=1) / Raw(whole), 600)
    for order in (parts, parts[::-1], parts * 2, parts[1:], parts[:-1], parts[:2] + parts[3:]):
        yield from order
    # Over each other: teardrop and others.
    for number, (offset, length) in enumerate([(0, 64), (1, 8), (3, 64), (8, 0), (8, 8), (8, 1), (7, 200), (8189, 64)]):
        piece = {"id": 100 + number, "proto": 17}
        yield ip(flags="MF", **piece) / Raw(whole[:64])
        yield ip(flags="MF", frag=offset, **piece) / Raw(b"y" * length)
        yield ip(frag=offset, **piece) / Raw(b"z" * length)
    # The ping of death, pieces of a header, of one byte, and of all that nobody will complete.
    for offset in range(0, 8192, 185):
        yield ip(id=7, proto=1, frag=offset, flags="MF" if offset + 185 < 8192 else 0) / Raw(bytes(1480))
    for body in bodies:
        for at in range(0, 64, 8):
            yield ip(id=8, proto=bodies.index(body) + 50, flags="MF", frag=at // 8) / Raw(bytes(body)[at:at + 8])
            yield ip(id=9, proto=6, flags="MF", frag=at // 8) / Raw(b"1")
    for number in range(300):
        yield ip(id=number + 1000, proto=17, flags="MF") / Raw(bytes(1400))
    yield ip(flags="DF+MF", frag=1) / udp() / b"hello"
    yield ip(flags="evil") / udp() / b"hello"


def land():
    others = (address, "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "10.9.255.255", "1.2.3.4")
    for source in others:
        for body in (tcp(sport=7), tcp(), tcp(flags="SA"), tcp(flags="A"), udp(sport=7) / b"again and again",
                     udp() / b"hello", ICMP() / b"hello", ICMP(type=0) / b"hello"):
            yield ip(src=source) / body
            yield ip(src=source, dst="255.255.255.255") / body
            yield ip(src=source, dst="224.0.0.1") / body
            yield ip(src=source, dst="10.9.255.255") / body
            yield ip(src=source, dst="127.0.0.1") / body
            yield ip(src=source, dst="0.0.0.0") / body
            yield ip(src=source, dst=host) / body


def flags():
    for value in range(512):
        yield ip() / tcp(flags=value)
        yield ip() / tcp(flags=value, dport=8)
        yield ip() / tcp(flags=value, sport=0, dport=0) / b"hello"
    for value in (0, 1, 2**31, 2**32 - 1):
        yield ip() / tcp(flags="A", seq=value, ack=value, window=0)
        yield ip() / tcp(flags="R", seq=value)
        yield ip() / tcp(flags="SF", seq=value) / b"hello"
        yield ip() / tcp(flags="AU", seq=value, urgptr=65535) / b"hello"


def options():
    bad = [b"\x02\x00", b"\x02\x01\0\0", b"\x02\x04\0\0", b"\x02\x04\xff\xff", b"\x02\xff\0\0", b"\x03\x03\xff\0",
           b"\x03\x02\0\0", b"\x08\x0a" + bytes(8), b"\x08\x0a\0\0", b"\x04\x02\x05\x0a" + bytes(8), b"\x05\x22",
           b"\x05\x03\0\0", b"\xff\x00\0\0", b"\xff\xff\0\0", b"\x01" * 40, b"\0" * 40, b"\x02\x04\0\x01", b"\xfe\x28" + bytes(38)]
    for text in bad:
        text += bytes(-len(text) % 4)
        for kind in ("S", "SA", "A", "FA"):
            head = bytes(tcp(flags=kind))
            yield ip(proto=6) / Raw(head[:12] + bytes([(5 + len(text) // 4) << 4]) + head[13:] + text)
    for text in (b"\x07\x00", b"\x07\x27\x04", b"\x83\x03\x00", b"\x83\xff\x04", b"\x89\x07\x04\x7f\0\0\x01", b"\x44\x28\x05\x03",
                 b"\x94\x04\0\0", b"\x01" * 40, b"\0", b"\xff\x00", b"\x86\x28"):
        for body in bodies:
            yield ip(options=IPOption(text)) / body


def others():
    for protocol in range(256):
        yield ip(proto=protocol) / Raw(b"\xff" * 40)
        yield ip(proto=protocol)
    for version in range(16):
        yield ip(version=version) / udp() / b"hello"
    for ttl in (0, 1, 255):
        yield ip(ttl=ttl) / udp() / b"hello"
    for kind in range(42):
        for code in (0, 3, 4, 255):
            inner = IP(src=address, dst=host) / tcp(sport=7, dport=40000, flags="A")
            yield ip() / ICMP(type=kind, code=code) / inner
            yield ip() / ICMP(type=kind, code=code) / Raw(bytes(inner)[:9])
    for port in range(0, 65536, 257):
        yield ip() / udp(dport=port)


def anything():
    for _ in range(1000):
        body = chance.choice(bodies)
        changed = bytearray(bytes(ip() / body))
        for _ in range(chance.randrange(1, 5)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        # Most of them for the VM.
        changed[16:20] = socket.inet_aton(address)
        yield Raw(bytes(changed))
        yield Raw(chance.randbytes(chance.randrange(1, 100)))
    random.seed(19)
    for _ in range(300):
        yield ip() / fuzz(chance.choice([TCP(), UDP(), ICMP()]))
        yield fuzz(IP(dst=address)) / body


for kind in (bad_sums, bad_lengths, fragments, land, flags, options, others, anything):
    count = 0
    for packet in kind():
        send(packet)
        count += 1
        # The VM's queue has room for 64.
        if count % 32 == 0 and not answers():
            sys.exit(f"{kind.__name__}: no answer after {count}")
    if not answers():
        sys.exit(f"{kind.__name__}: no answer")
    print(f"{kind.__name__}: {count} sent", flush=True)
print(f"{refused} were none that the device takes")
