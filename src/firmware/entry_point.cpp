#include "firmware/entry_point.h"

#include <array>
#include <span>

#include "firmware/low_memory.h"

namespace mynah {
namespace {

namespace attr = x86::segment_attribute;

// __BOOT_CS and __BOOT_DS of the Linux protocols; PVH leaves the selectors open.
constexpr uint16_t kCodeSelector = 0x10, kDataSelector = 0x18;
constexpr uint64_t kFlatCode32 = 0x00cf9b000000ffff, kFlatCode64 = 0x00af9b000000ffff,
                   kFlatData = 0x00cf93000000ffff;

constexpr uint64_t kPresent = 1u << 0, kWritable = 1u << 1, kLarge = 1u << 7;
constexpr unsigned kEntries = 512, kDirectories = 4;
constexpr uint64_t kLargePage = 2u << 20;

std::array<uint64_t, 4> descriptors(EntryPoint::Kind kind) {
    const bool is_long = kind == EntryPoint::Kind::kLinux64;
    return {0, 0, is_long ? kFlatCode64 : kFlatCode32, kFlatData};
}

bool write_identity_map(GuestMemory& memory) {
    std::array<uint64_t, kEntries> table{};
    const uint64_t pdpt = low_memory::kPageTables + kPageSize;
    const uint64_t directories = pdpt + kPageSize;
    const auto put = [&](uint64_t address) {
        return memory.write(GuestPhys(address), std::as_bytes(std::span(table)));
    };

    table[0] = pdpt | kPresent | kWritable;
    if (!put(low_memory::kPageTables)) return false;
    for (unsigned i = 0; i < kDirectories; ++i) {
        table[i] = (directories + i * kPageSize) | kPresent | kWritable;
    }
    if (!put(pdpt)) return false;
    uint64_t mapped = 0;
    for (unsigned i = 0; i < kDirectories; ++i) {
        for (uint64_t& entry : table) {
            entry = mapped | kPresent | kWritable | kLarge;
            mapped += kLargePage;
        }
        if (!put(directories + i * kPageSize)) return false;
    }
    return true;
}

SegmentRegister flat_segment(uint16_t selector, uint32_t type_bits) {
    return {.base = 0,
            .limit = 0xffffffff,
            .attributes = attr::kPresent | attr::kCodeOrData | attr::kAccessed |
                          attr::kReadableOrWritable | attr::kGranularity | type_bits,
            .selector = selector};
}

}  // namespace

bool write_entry_tables(GuestMemory& memory, EntryPoint::Kind kind) {
    if (!memory.store(GuestPhys(low_memory::kGdt), descriptors(kind))) return false;
    return kind != EntryPoint::Kind::kLinux64 || write_identity_map(memory);
}

void apply_entry(const EntryPoint& entry, CpuState& state) {
    const bool is_long = entry.kind == EntryPoint::Kind::kLinux64;
    for (SegmentRegister& segment : state.segments) {
        segment = flat_segment(kDataSelector, attr::kDefaultBig);
    }
    state.segment(x86::Segment::kCs) =
        flat_segment(kCodeSelector, attr::kCode | (is_long ? attr::kLong : attr::kDefaultBig));
    state.gdtr = {.base = low_memory::kGdt, .limit = sizeof(uint64_t) * 4 - 1};
    state.idtr = {.base = 0, .limit = 0};
    // PVH asks for a 32-bit TSS of limit 67h at base 0; the reset state's TSS type is that already.
    state.tr.limit = 0x67;

    state.gpr = {};
    state.flags.set(x86::rflags::kOne);
    state.rip = entry.address.value;
    state.cr0 = x86::cr0::kPe | x86::cr0::kEt;
    if (is_long) {
        state.cr0 |= x86::cr0::kPg;
        state.cr3 = low_memory::kPageTables;
        state.cr4 = x86::cr4::kPae;
        state.efer = x86::efer::kLme | x86::efer::kLma;
    }
    state.gpr[entry.kind == EntryPoint::Kind::kPvh ? kRbx : kRsi] = entry.argument.value;
}

}  // namespace mynah
