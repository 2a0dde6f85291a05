"""The random numbers of a training: the streams of `ops/src/math/random.rs`."""
import math


def philox(counter, key):
    for _ in range(10):
        p0, p1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [p1 >> 32 ^ counter[1] ^ key[0], p1 & 0xFFFFFFFF, p0 >> 32 ^ counter[3] ^ key[1], p0 & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


class Stream:
    def __init__(self, seed, purpose, index):
        self.key, self.name = [seed & 0xFFFFFFFF, seed >> 32], [index, purpose]
        self.block, self.drawn = 0, []

    def bits(self):
        if not self.drawn:
            self.drawn = philox([self.block & 0xFFFFFFFF, self.block >> 32, *self.name], self.key)
            self.block += 1
        return self.drawn.pop(0)

    def uniform(self):
        return ((self.bits() >> 5) * 67108864.0 + (self.bits() >> 6)) / 9007199254740992.0

    def normal(self):
        radius = math.sqrt(-2.0 * math.log(1.0 - self.uniform()))
        return radius * math.cos(2.0 * math.pi * self.uniform())

    def between(self, low, high):
        return low + (high - low) * self.uniform()

    def below(self, n):
        while True:
            product = self.bits() * n
            if product & 0xFFFFFFFF >= (2**32 - n) % n:
                return product >> 32


NOISE, AUGMENTATION = 6, 12
