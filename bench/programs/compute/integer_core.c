// What the core of an embedded program does all day: linked lists, small integer matrices, a state
// machine over text, a checksum over all of it. Few instructions between branches.
#include "../measure.h"

#include <string.h>

enum { kNodes = 400, kMatrix = 20, kText = 2000 };

struct Node {
    struct Node* next;
    int16_t key, value;
};

static uint16_t crc16(uint16_t crc, uint32_t data) {
    for (int bit = 0; bit < 32; ++bit) {
        const uint32_t carry = (crc ^ data) & 1;
        crc = (uint16_t)(crc >> 1);
        data >>= 1;
        if (carry) crc ^= 0xa001;
    }
    return crc;
}

static struct Node* merge(struct Node* left, struct Node* right, int by_key) {
    struct Node head = {0}, *tail = &head;
    while (left && right) {
        const int first = by_key ? left->key <= right->key : left->value <= right->value;
        struct Node** taken = first ? &left : &right;
        tail->next = *taken;
        tail = *taken;
        *taken = (*taken)->next;
    }
    tail->next = left ? left : right;
    return head.next;
}

static struct Node* sort(struct Node* list, int by_key) {
    if (list == NULL || list->next == NULL) return list;
    struct Node *middle = list, *end = list->next;
    while (end && end->next) {
        middle = middle->next;
        end = end->next->next;
    }
    struct Node* right = middle->next;
    middle->next = NULL;
    return merge(sort(list, by_key), sort(right, by_key), by_key);
}

static uint16_t lists(uint16_t crc, uint64_t* state) {
    static struct Node nodes[kNodes];
    for (int i = 0; i < kNodes; ++i) {
        const uint64_t random = next_random(state);
        nodes[i] = (struct Node){i + 1 < kNodes ? &nodes[i + 1] : NULL, (int16_t)random,
                                 (int16_t)(random >> 16)};
    }
    struct Node* list = sort(nodes, 1);
    for (int round = 0; round < 20; ++round) {
        const int16_t wanted = (int16_t)next_random(state);
        const struct Node* found = list;
        while (found && found->key < wanted) found = found->next;
        crc = crc16(crc, found ? (uint16_t)found->value : 1);
    }
    list = sort(list, 0);
    for (const struct Node* at = list; at; at = at->next) crc ^= (uint16_t)(at->key + (crc << 1));
    return crc;
}

static uint16_t matrices(uint16_t crc, uint64_t* state) {
    static int16_t a[kMatrix][kMatrix], b[kMatrix][kMatrix];
    for (int i = 0; i < kMatrix * kMatrix; ++i) {
        const uint64_t random = next_random(state);
        a[i / kMatrix][i % kMatrix] = (int16_t)(random & 0xff);
        b[i / kMatrix][i % kMatrix] = (int16_t)(random >> 8 & 0xff);
    }
    for (int i = 0; i < kMatrix; ++i) {
        for (int j = 0; j < kMatrix; ++j) {
            int32_t sum = 0;
            for (int k = 0; k < kMatrix; ++k) {
                const int32_t product = a[i][k] * b[k][j];
                sum += (product >> 2 & 15) * (product >> 5 & 127);
            }
            crc = (uint16_t)(crc * 5 + sum);
        }
    }
    return crc16(crc, (uint32_t)crc << 3);
}

enum State {
    kStart,
    kSign,
    kInteger,
    kPoint,
    kFraction,
    kExponent,
    kScientific,
    kInvalid,
    kStates
};

static enum State step(enum State state, char c) {
    const int digit = c >= '0' && c <= '9';
    switch (state) {
        case kStart:
            return digit ? kInteger : c == '+' || c == '-' ? kSign : c == '.' ? kPoint : kInvalid;
        case kSign:
            return digit ? kInteger : c == '.' ? kPoint : kInvalid;
        case kInteger:
            return digit ? kInteger : c == '.' ? kFraction : c == 'e' ? kExponent : kInvalid;
        case kPoint:
            return digit ? kFraction : kInvalid;
        case kFraction:
            return digit ? kFraction : c == 'e' ? kExponent : kInvalid;
        case kExponent:
            return digit || c == '-' || c == '+' ? kScientific : kInvalid;
        case kScientific:
            return digit ? kScientific : kInvalid;
        default:
            return kInvalid;
    }
}

static uint16_t states(uint16_t crc, uint64_t* state) {
    static const char* const tokens[] = {
        "5012,",     "1234,",     "-874,",     "+122,",     "35.54400,", ".1234500,", "-110.700,",
        "+0.64400,", "5.500e+3,", "-.123e-2,", "-87e+832,", "T0.3e-1F,", "-T.T++Tq,", "1T3.4e4z,"};
    static char text[kText];
    size_t size = 0;
    while (size + 16 < kText) {
        const char* token = tokens[(next_random(state) >> 20) % (sizeof tokens / sizeof tokens[0])];
        memcpy(text + size, token, strlen(token));
        size += strlen(token);
    }
    uint32_t finals[kStates] = {0}, visits[kStates] = {0};
    enum State at = kStart;
    for (size_t i = 0; i < size; ++i) {
        if (text[i] == ',') {
            ++finals[at];
            at = kStart;
        } else {
            at = step(at, text[i]);
            ++visits[at];
        }
    }
    for (int i = 0; i < kStates; ++i) crc = crc16(crc, finals[i] << 16 | (visits[i] & 0xffff));
    return crc;
}

static uint64_t work(void) {
    uint64_t state = 42, sum = 0;
    uint16_t crc = 0xffff;
    for (int round = 0; round < 60; ++round) {
        crc = lists(crc, &state);
        crc = matrices(crc, &state);
        crc = states(crc, &state);
        sum = sum * 31 + crc;
    }
    return sum;
}

PROGRAM("compute", "integer core", work)
