"""The weights and texts of `limbeck bench train`, number by number, in numpy.

Every stream of numbers has a name and is SplitMix64 (doi 10.1145/2660193.2660195) as a function of the place in it:
number `i` is `mix(start + (i + 1) * 0x9E3779B97F4A7C15)` modulo 2^64, where `start` is the first eight bytes,
little-endian, of the SHA-256 of `SEED NAME` (the seed in decimals, a space, the name).
`student/src/train/bench/generated.rs` is the same in Rust.
"""

import hashlib
import math

import numpy

DEVIATION = 0.02
COPY_DISTANCE = 8


def numbers(seed, name, places):
    """The numbers of a stream at some places, as uint64."""
    start = numpy.uint64(int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "little"))
    z = start + (places.astype(numpy.uint64) + numpy.uint64(1)) * numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return z ^ (z >> numpy.uint64(31))


def weight(seed, name, shape, layers):
    """One tensor by its Hugging Face name: ones for a norm, else uniform with the deviation of the trainer.

    With `k` the upper 24 bits of a number, the weight is the f32 product of `2k + 1 - 2^24` and the f32 nearest to
    `deviation * sqrt(3) / 2^24`.
    """
    if len(shape) == 1:
        return numpy.ones(shape, numpy.float32)
    residual = name.endswith(("o_proj.weight", "down_proj.weight"))
    deviation = DEVIATION / math.sqrt(2.0 * layers) if residual else DEVIATION
    unit = numpy.float32(deviation * math.sqrt(3.0) / 2.0**24)
    k = (numbers(seed, name, numpy.arange(math.prod(shape))) >> numpy.uint64(40)).astype(numpy.int64)
    return ((2 * k + 1 - 2**24).astype(numpy.float32) * unit).reshape(shape)


def texts(seed, first, count, length, vocabulary):
    """Texts `first` to `first + count - 1`, as int64 of [count, length].

    The lower three bits of the number `text * length + place` of the stream `tokens` choose: 0, and always at the
    first place, a token at random, the number's upper half modulo the vocabulary; 1 and 2, from the ninth place on,
    the token eight places before; otherwise `5t + 7` modulo the vocabulary, where `t` is the token before.
    """
    places = numpy.arange(first * length, (first + count) * length).reshape(count, length)
    drawn = numbers(seed, "tokens", places)
    choice = (drawn & numpy.uint64(7)).astype(numpy.int64)
    free = ((drawn >> numpy.uint64(32)) % numpy.uint64(vocabulary)).astype(numpy.int64)
    tokens = free.copy()
    for place in range(1, length):
        following = (5 * tokens[:, place - 1] + 7) % vocabulary
        if place >= COPY_DISTANCE:
            copied = (choice[:, place] == 1) | (choice[:, place] == 2)
            following = numpy.where(copied, tokens[:, place - COPY_DISTANCE], following)
        tokens[:, place] = numpy.where(choice[:, place] == 0, free[:, place], following)
    return tokens
