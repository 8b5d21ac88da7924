"""What a program in Python does: classes, dictionaries, strings, lists, floating point."""


class Record:
    """One entry of a chain."""

    def __init__(self, number, text, following=None):
        self.number, self.text, self.following = number, text, following

    def copy(self):
        return Record(self.number, self.text, self.following)


def chains(rounds):
    total, head = 0, None
    for number in range(rounds):
        head = Record(number % 7, "record %d" % number, head)
        other = head.copy()
        if other.text[-1] in "02468" and other.number != 3:
            total += len(other.text) * other.number
        if number % 50 == 49:
            head = None
    return total


def words(rounds):
    counts = {}
    for number in range(rounds):
        key = "k%x" % (number * 2654435761 % 4096)
        counts[key] = counts.get(key, 0) + 1
    most = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:20]
    return ",".join(f"{key}={count}" for key, count in most)


def primes(limit):
    sieve = [True] * limit
    for number in range(2, int(limit ** 0.5) + 1):
        if sieve[number]:
            for multiple in range(number * number, limit, number):
                sieve[multiple] = False
    return sum(sieve[2:])


def spectrum(size):
    def entry(row, column):
        return 1.0 / ((row + column) * (row + column + 1) // 2 + row + 1)

    vector = [1.0] * size
    for _ in range(3):
        vector = [sum(entry(row, column) * vector[column] for column in range(size))
                  for row in range(size)]
    return sum(value * value for value in vector).hex()


def queens(size):
    def place(row, columns, left, right):
        if row == size:
            return 1
        found = 0
        for column in range(size):
            if column not in columns and row + column not in left and row - column not in right:
                found += place(row + 1, columns | {column}, left | {row + column},
                               right | {row - column})
        return found
    return place(0, frozenset(), frozenset(), frozenset())


print(chains(30000), words(30000), primes(120000), spectrum(70), queens(7))
