#include "silicon/guest_layout.h"

#include <cstring>

#include "base/bits.h"
#include "base/check.h"

namespace mynah::silicon {
namespace {

namespace attr = x86::segment_attribute;

constexpr uint64_t kPresent = 1, kWritable = 2, kUser = 4, kAccessedDirty = 0x60,
                   kNoExecute = bit(63);

class PageTables {
 public:
    explicit PageTables(GuestMemory& memory) : memory_(memory) {}

    void map(uint64_t linear, uint64_t physical, uint64_t size, uint64_t rights) {
        for (uint64_t done = 0; done < size; done += kPageSize) {
            uint64_t table = kPageTables;
            for (unsigned level = 3; level > 0; --level) {
                table = child(table + 8 * index(linear + done, level));
            }
            store(table + 8 * index(linear + done, 0),
                  (physical + done) | rights | kPresent | kAccessedDirty);
        }
    }

 private:
    static uint64_t index(uint64_t linear, unsigned level) {
        return linear >> (12 + 9 * level) & 0x1ff;
    }
    void store(uint64_t at, uint64_t value) { CHECK(memory_.store(GuestPhys(at), value)); }
    uint64_t child(uint64_t entry) {
        uint64_t value = memory_.load<uint64_t>(GuestPhys(entry)).value_or(0);
        if (value == 0) {
            value = next_ | kPresent | kWritable | kUser | kAccessedDirty;
            next_ += kPageSize;
            CHECK(next_ <= kGdt);
            store(entry, value);
        }
        return value & ~uint64_t{0xfff};
    }

    GuestMemory& memory_;
    uint64_t next_ = kPageTables + kPageSize;
};

// Descriptors as Linux has them.
constexpr uint64_t kDescriptors[] = {
    0,
    0x00cf9b000000ffff,  // 08: kernel code, 32-bit
    0x00af9b000000ffff,  // 10: kernel code
    0x00cf93000000ffff,  // 18: kernel data
    0x00cffb000000ffff,  // 23: user code, 32-bit
    0x00cff3000000ffff,  // 2b: user data
    0x00affb000000ffff,  // 33: user code
};

void build_gdt(GuestMemory& memory) {
    uint64_t at = kGdt;
    for (const uint64_t descriptor : kDescriptors) {
        CHECK(memory.store(GuestPhys(at), descriptor));
        at += 8;
    }
}

void build_idt(GuestMemory& memory) {
    for (unsigned vector = 0; vector < kVectors; ++vector) {
        const uint64_t handler = kKernel + kHandlers + vector * kHandlerBytes;
        constexpr uint64_t kInterruptGateDpl3 = 0xee00;
        const uint64_t low = (handler & 0xffff) | uint64_t{0x10} << 16 | kInterruptGateDpl3 << 32 |
                             (handler >> 16 & 0xffff) << 48;
        CHECK(memory.store(GuestPhys(kIdt + 16 * vector), low));
        CHECK(memory.store(GuestPhys(kIdt + 16 * vector + 8), handler >> 32));
        constexpr uint8_t kHlt = 0xf4;
        CHECK(memory.store(GuestPhys(kHandlers + vector * kHandlerBytes), kHlt));
    }
}

// Where the leaf entry of a linear address is; the tables are there.
GuestPhys leaf_entry(const GuestMemory& memory, uint64_t linear) {
    uint64_t table = kPageTables;
    for (unsigned level = 3; level > 0; --level) {
        const uint64_t at = table + 8 * (linear >> (12 + 9 * level) & 0x1ff);
        table = memory.load<uint64_t>(GuestPhys(at)).value() & 0x000ffffffffff000;
    }
    return GuestPhys(table + 8 * (linear >> 12 & 0x1ff));
}

// An entry's bits 9 to 11 and 52 to 58 are ours: the usual rights are kept in them.
constexpr uint64_t kUsuallyWritable = bit(9), kUsuallyExecutable = bit(10);

SegmentRegister segment(uint16_t selector, uint32_t attributes) {
    return {.base = 0, .limit = 0xffffffff, .attributes = attributes, .selector = selector};
}

}  // namespace

void inject(GuestMemory& memory, const Injection& injection) {
    const GuestPhys at = leaf_entry(memory, injection.page);
    uint64_t entry = memory.load<uint64_t>(at).value();
    if ((entry & kWritable) != 0) entry |= kUsuallyWritable;
    if ((entry & kNoExecute) == 0) entry |= kUsuallyExecutable;
    switch (injection.kind) {
        case Injection::Kind::kAbsent: entry &= ~kPresent; break;
        case Injection::Kind::kReadOnly: entry &= ~kWritable; break;
        case Injection::Kind::kSupervisor: entry &= ~kUser; break;
        case Injection::Kind::kNoExecute: entry |= kNoExecute; break;
        case Injection::Kind::kNone: break;
    }
    CHECK(memory.store(at, entry));
}

void withdraw(GuestMemory& memory, const Injection& injection) {
    const GuestPhys at = leaf_entry(memory, injection.page);
    uint64_t entry = memory.load<uint64_t>(at).value() | kPresent | kUser;
    if ((entry & kUsuallyWritable) != 0) entry |= kWritable;
    if ((entry & kUsuallyExecutable) != 0) entry &= ~kNoExecute;
    CHECK(memory.store(at, entry & ~(kUsuallyWritable | kUsuallyExecutable)));
}

void build_kernel(GuestMemory& memory) {
    PageTables tables(memory);
    tables.map(kKernel, 0, kGuestBytes, kWritable);
    tables.map(kCodeAddress, kGuestCode, kCodeBytes, kUser);
    tables.map(kWritableCodeAddress, kGuestCode, kCodeBytes, kUser | kWritable);
    tables.map(kScratchAddress, kGuestScratch, kScratchBytes, kUser | kWritable | kNoExecute);
    for (uint64_t i = 0; i < kAliases; ++i) {
        const uint64_t data = kDataAddress + i * kAliasStride;
        tables.map(data, kGuestMemory, kDataBytes, kUser | kWritable | kNoExecute);
        tables.map(data + kDataBytes, kGuestMemory + kDataBytes, kReadOnlyBytes,
                   kUser | kNoExecute);
    }
    build_gdt(memory);
    build_idt(memory);
    CHECK(memory.store(GuestPhys(kTss + 4), kKernel + kStackTop));  // RSP0
    CHECK(memory.store(GuestPhys(kTss + 0x66), uint16_t{0x68}));          // no port permission map
    CHECK(memory.fill(GuestPhys(kGuestCode), std::byte{0xcc}, kCodeBytes));
}

CpuState user_state(const CpuState& reset) {
    CpuState state = reset;
    state.cr0 = x86::cr0::kPe | x86::cr0::kMp | x86::cr0::kEt | x86::cr0::kNe | x86::cr0::kWp |
                x86::cr0::kAm | x86::cr0::kPg;
    state.cr4 = x86::cr4::kPae | x86::cr4::kOsfxsr | x86::cr4::kOsxmmexcpt | x86::cr4::kOsxsave |
                x86::cr4::kFsgsbase | x86::cr4::kPge | x86::cr4::kUmip;
    state.cr3 = kPageTables;
    state.efer = x86::efer::kSce | x86::efer::kLme | x86::efer::kLma | x86::efer::kNxe;
    state.xcr0 = 7;
    state.gdtr = {.base = kKernel + kGdt, .limit = 0x7f};
    state.idtr = {.base = kKernel + kIdt, .limit = 16 * kVectors - 1};
    state.tr = {.base = kKernel + kTss, .limit = 0x67,
                .attributes = attr::kPresent | x86::system_type::kTss32Busy, .selector = 0x40};
    state.ldtr = {.attributes = attr::kUnusable};
    constexpr uint32_t kUserData = attr::kPresent | attr::kDpl | attr::kCodeOrData |
                                   attr::kReadableOrWritable | attr::kAccessed | attr::kDefaultBig |
                                   attr::kGranularity;
    for (SegmentRegister& each : state.segments) each = segment(0x2b, kUserData);
    state.segment(x86::Segment::kFs) = state.segment(x86::Segment::kGs) =
        {.attributes = attr::kUnusable | attr::kDpl};
    return state;
}

}  // namespace mynah::silicon
