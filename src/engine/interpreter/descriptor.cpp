#include "engine/interpreter/descriptor.h"

#include "engine/interpreter/core.h"

namespace mynah::interpreter {

namespace attr = x86::segment_attribute;

namespace {

// Linear address of `size` bytes of a selector's entry; false: beyond the table's limit.
bool entry_address(const CpuState& s, uint16_t selector, unsigned size, uint64_t& address) {
    const unsigned index = selector & x86::selector::kIndex;
    if ((selector & x86::selector::kTi) != 0) {
        address = s.ldtr.base + index;
        return s.ldtr.usable() && index + size - 1 <= s.ldtr.limit;
    }
    address = s.gdtr.base + index;
    return index + size - 1 <= s.gdtr.limit;
}

// Outside long mode linear addresses have 32 bits.
uint64_t wrap_linear(const CpuState& s, uint64_t linear) {
    return s.long_mode() ? linear : linear & 0xffffffff;
}

}  // namespace

SegmentRegister null_segment(uint16_t selector, unsigned dpl) {
    return {.base = 0,
            .limit = 0,
            .attributes = attr::kUnusable | dpl << attr::kDplShift,
            .selector = selector};
}

SegmentRegister real_segment(uint16_t selector, const SegmentRegister& before) {
    // Limit, granularity and size stay as protected mode left them ("unreal mode").
    constexpr uint32_t kKept = attr::kGranularity | attr::kDefaultBig;
    const bool usable = before.usable();
    return {.base = uint64_t{selector} << 4,
            .limit = usable ? before.limit : 0xffff,
            .attributes = attr::kPresent | attr::kCodeOrData | attr::kReadableOrWritable |
                          attr::kAccessed | (usable ? before.attributes & kKept : 0),
            .selector = selector};
}

SegmentRegister v86_segment(uint16_t selector) {
    return {.base = uint64_t{selector} << 4,
            .limit = 0xffff,
            .attributes = attr::kPresent | attr::kDpl | attr::kCodeOrData |
                          attr::kReadableOrWritable | attr::kAccessed,
            .selector = selector};
}

bool read_descriptor(Core& core, uint16_t selector, const Exception& outside, Descriptor& out) {
    uint64_t address;
    if (!entry_address(core.s, selector, 8, address)) return core.raised(outside);
    out.address = wrap_linear(core.s, address);
    out.high = 0;
    return core.load_implicit(out.address, out.low);
}

bool read_descriptor_high(Core& core, uint16_t selector, const Exception& outside,
                          Descriptor& out) {
    uint64_t address;
    if (!entry_address(core.s, selector, 16, address)) return core.raised(outside);
    return core.load_implicit(out.address + 8, out.high);
}

bool set_accessed(Core& core, Descriptor& descriptor) {
    if (descriptor.has(attr::kAccessed)) return true;
    descriptor.low |= uint64_t{attr::kAccessed} << 40;
    return core.store_implicit(descriptor.address + 5, static_cast<uint8_t>(descriptor.low >> 40));
}

bool set_busy(Core& core, const Descriptor& descriptor, bool busy) {
    const auto access = static_cast<uint8_t>(descriptor.low >> 40);
    return core.store_implicit(descriptor.address + 5,
                               static_cast<uint8_t>(busy ? access | 2 : access & ~2));
}

}  // namespace mynah::interpreter
