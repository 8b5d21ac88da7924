// Pages are exchanged under the processors that use them, by table entry, INVLPG and interrupts to
// the others. A processor that still used an old mapping afterwards would read, execute or change
// the poison in a page that is free.
#include "guest.h"

enum { kWindows = 6, kFrames = 20, kCodeWindows = 2, kCodeFrames = 6, kWords = 512,
       kFirstCounter = 8 };
static const uint64_t kMagic = 0x600dc0de600dc0de, kPoison = 0xdeaddeaddeaddead;
enum { kPresent = 1, kWritable = 2 };

static struct {
    volatile uint32_t lock;
    volatile uint32_t frame;
    volatile uint32_t version;  // of code
} windows[kWindows + kCodeWindows];
static struct {
    volatile uint32_t lock;
    uint32_t count;
    uint32_t frames[kFrames];
} data_pool, code_pool;
static volatile uint64_t harvested, made[MOST_PROCESSORS];

static uint64_t linear_of(uint32_t window) { return WINDOWS + (uint64_t)window * 0x1000; }
static volatile uint64_t* physical(uint32_t frame) {
    return (volatile uint64_t*)(FRAMES + (uint64_t)frame * 0x1000);
}

static void set_entry(uint32_t window, uint64_t value) {
    volatile uint64_t* entry = (volatile uint64_t*)WINDOW_TABLE + window;
    __asm__ volatile("xchgq %0, %1" : "+r"(value), "+m"(*entry)::"memory");
}
static void map(uint32_t window, uint32_t frame) {
    windows[window].frame = frame;
    set_entry(window, (uint64_t)physical(frame) | kPresent | kWritable);
}

static void fill(uint32_t frame, uint64_t value) {
    uint64_t to = (uint64_t)physical(frame), count = kWords;
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}
static void expect_filled(uint32_t frame, uint64_t value) {
    for (uint32_t i = 0; i < kWords; ++i)
        EXPECT(physical(frame)[i] == value, &physical(frame)[i], physical(frame)[i]);
}

#define TAKE(pool) take(&(pool).lock, &(pool).count, (pool).frames)
#define GIVE(pool, frame) give(&(pool).lock, &(pool).count, (pool).frames, frame)
static uint32_t take(volatile uint32_t* its_lock, uint32_t* count, uint32_t* frames) {
    lock(its_lock);
    // The oldest, so that it has been free for long.
    const uint32_t frame = frames[0];
    --*count;
    for (uint32_t i = 0; i < *count; ++i) frames[i] = frames[i + 1];
    unlock(its_lock);
    return frame;
}
static void give(volatile uint32_t* its_lock, uint32_t* count, uint32_t* frames, uint32_t frame) {
    lock(its_lock);
    frames[(*count)++] = frame;
    unlock(its_lock);
}

static void prepare(uint32_t frame) {
    expect_filled(frame, kPoison);
    fill(frame, 0);
    physical(frame)[0] = kMagic;
}

void set_up_windows(void) {
    for (uint32_t i = 0; i < kFrames; ++i) {
        fill(i, kPoison);
        GIVE(data_pool, i);
    }
    for (uint32_t i = 0; i < kCodeFrames; ++i) {
        fill(kFrames + i, ~0ull / 255 * 0xcc);
        GIVE(code_pool, kFrames + i);
    }
    for (uint32_t i = 0; i < kWindows; ++i) {
        const uint32_t frame = TAKE(data_pool);
        prepare(frame);
        map(i, frame);
    }
    for (uint32_t i = kWindows; i < kWindows + kCodeWindows; ++i) {
        const uint32_t frame = TAKE(code_pool);
        write_function((uint64_t)physical(frame), 0);
        map(i, frame);
    }
}

static uint64_t counters_of(uint32_t frame) {
    uint64_t sum = 0;
    for (uint32_t i = kFirstCounter; i < kWords; ++i) sum += physical(frame)[i];
    return sum;
}

void exchange_page(void) {
    const uint32_t window = random_below(kWindows);
    if (!try_lock(&windows[window].lock)) return;
    const uint32_t old = windows[window].frame, new = TAKE(data_pool);
    prepare(new);
    switch (random_below(3)) {
        case 0:  // at once
            map(window, new);
            interrupt_all(linear_of(window));
            break;
        case 1:  // nobody has it for a while
            set_entry(window, 0);
            interrupt_all(linear_of(window));
            map(window, new);
            break;
        default:  // nobody writes to it for a while, and it is copied meanwhile
            set_entry(window, (uint64_t)physical(old) | kPresent);
            interrupt_all(linear_of(window));
            for (uint32_t i = 0; i < kWords; ++i) physical(new)[i] = physical(old)[i];
            map(window, new);
            interrupt_all(linear_of(window));
            fill(old, 0);
            break;
    }
    add(&harvested, counters_of(old));
    fill(old, kPoison);
    GIVE(data_pool, old);
    unlock(&windows[window].lock);
}

void use_pages(void) {
    for (uint32_t i = 0; i < 20; ++i) {
        const uint64_t at = linear_of(random_below(kWindows));
        const uint64_t magic = *(volatile uint64_t*)at;
        EXPECT(magic == kMagic, at, magic);
        volatile uint64_t* counter =
            (volatile uint64_t*)at + kFirstCounter + random_below(kWords - kFirstCounter);
        __asm__ volatile("lock incq %0" : "+m"(*counter)::"memory");
        ++made[self()->number];
    }
    const uint32_t window = kWindows + random_below(kCodeWindows);
    const uint32_t version = windows[window].version;
    barrier();
    call_function(linear_of(window), version);
}

void exchange_code_page(void) {
    const uint32_t window = kWindows + random_below(kCodeWindows);
    if (!try_lock(&windows[window].lock)) return;
    const uint32_t old = windows[window].frame, new = TAKE(code_pool);
    const uint32_t version = windows[window].version + 1;
    write_function((uint64_t)physical(new), version);
    map(window, new);
    interrupt_all(linear_of(window));
    windows[window].version = version;
    fill(old, ~0ull / 255 * 0xcc);
    GIVE(code_pool, old);
    unlock(&windows[window].lock);
}

void check_windows(void) {
    uint64_t found = harvested, wanted = 0;
    for (uint32_t i = 0; i < kWindows; ++i) found += counters_of(windows[i].frame);
    for (uint32_t i = 0; i < MOST_PROCESSORS; ++i) wanted += made[i];
    EXPECT(found == wanted, found, wanted);
    for (uint32_t i = 0; i < data_pool.count; ++i) expect_filled(data_pool.frames[i], kPoison);
}
