#include "engine/interpreter/stack_frame.h"

#include "engine/interpreter/core.h"
#include "engine/interpreter/descriptor.h"

namespace mynah::interpreter {

namespace attr = x86::segment_attribute;

uint64_t StackWriter::wrap(uint64_t pointer) const {
    if (flat64_) return pointer;
    return pointer & (segment_.default_big() ? 0xffffffff : 0xffff);
}

bool StackWriter::within(uint64_t offset, unsigned size) const {
    if (flat64_) return Core::canonical(offset) && Core::canonical(offset + size - 1);
    const uint64_t last = offset + size - 1;
    const bool expand_down = (segment_.attributes & attr::kConformingOrExpandDown) != 0;
    if (!expand_down) return last <= segment_.limit;
    return offset > segment_.limit && last <= (segment_.default_big() ? 0xffffffff : 0xffff);
}

bool StackWriter::has_room(unsigned count, unsigned size) {
    uint64_t pointer = pointer_;
    for (unsigned i = 0; i < count; ++i) {
        pointer = wrap(pointer - size);
        if (!within(pointer, size)) return core_.raised(Exception::ss(error_code_));
    }
    return true;
}

bool StackWriter::push(uint64_t value, unsigned size) {
    const uint64_t pointer = wrap(pointer_ - size);
    if (!within(pointer, size)) return core_.raised(Exception::ss(error_code_));
    const uint64_t linear = flat64_ ? pointer : (segment_.base + pointer) & 0xffffffff;
    const bool misaligned = (linear & (size - 1)) != 0;
    if (misaligned && mode_ == AccessMode::kUser && core_.alignment_checked()) {
        return core_.raised(Exception::ac());
    }
    if (!core_.access_as(mode_, linear, &value, size, AccessKind::kWrite)) return false;
    pointer_ = pointer;
    return true;
}

bool StackWriter::push_frame64(const uint64_t* values, unsigned count) {
    const uint64_t pointer = pointer_ - count * 8;
    if (!within(pointer, count * 8)) return core_.raised(Exception::ss(error_code_));
    if (!core_.access_as(mode_, pointer, const_cast<uint64_t*>(values), count * 8,
                         AccessKind::kWrite)) {
        return false;
    }
    pointer_ = pointer;
    return true;
}

StackReader::StackReader(Core& core) : core_(core), pointer_(core.s.gpr[kRsp]) { skip(0); }

void StackReader::skip(uint64_t bytes) {
    pointer_ += bytes;
    if (core_.mode.stack_size == CodeSize::k32) pointer_ &= 0xffffffff;
    if (core_.mode.stack_size == CodeSize::k16) pointer_ &= 0xffff;
}

bool StackReader::pop(uint64_t& value, unsigned size) {
    uint64_t linear;
    if (!core_.segment_linear(x86::Segment::kSs, pointer_, size, AccessKind::kRead, linear))
        return false;
    value = 0;
    if (!core_.load_bytes(linear, &value, size)) return false;
    skip(size);
    return true;
}

bool StackReader::pop_selector(uint16_t& selector, unsigned size) {
    uint64_t value;
    if (!pop(value, sizeof selector)) return false;
    selector = static_cast<uint16_t>(value);
    skip(size - sizeof selector);
    return true;
}

void set_stack_pointer_for(CpuState& state, const SegmentRegister& segment, bool flat64,
                           uint64_t value) {
    uint64_t& rsp = state.gpr[kRsp];
    if (flat64) {
        rsp = value;
    } else if (segment.default_big()) {
        rsp = value & 0xffffffff;
    } else {
        rsp = (rsp & ~uint64_t{0xffff}) | (value & 0xffff);
    }
}

namespace {

// The stack-segment checks of a stack switch [SDM 2A INT n, CALL].
bool check_inner_segment(Core& core, uint16_t selector, unsigned level, uint32_t ext,
                         InnerStack& out) {
    if (is_null(selector)) return core.raised(Exception::ts(ext));
    const Exception bad = Exception::ts(code_of(selector) | ext);
    Descriptor descriptor;
    if (!read_descriptor(core, selector, bad, descriptor)) return false;
    const bool fits = (selector & x86::selector::kRpl) == level && descriptor.dpl() == level &&
                      descriptor.writable_data();
    if (!fits) return core.raised(bad);
    if (!descriptor.present()) return core.raised(Exception::ss(code_of(selector) | ext));
    if (!set_accessed(core, descriptor)) return false;
    out.segment = descriptor.to_register(selector);
    return true;
}

}  // namespace

bool inner_stack(Core& core, unsigned level, uint32_t ext, InnerStack& out) {
    const SegmentRegister& tr = core.s.tr;
    const bool wide = (tr.attributes & 8) != 0;  // 32-bit TSS
    const unsigned at = wide ? level * 8 + 4 : level * 4 + 2;
    const unsigned last = at + (wide ? 5 : 3);
    if (last > tr.limit) return core.raised(Exception::ts(code_of(tr.selector) | ext));
    uint16_t selector;
    if (wide) {
        uint32_t pointer;
        if (!core.load_implicit(tr.base + at, pointer)) return false;
        if (!core.load_implicit(tr.base + at + 4, selector)) return false;
        out.pointer = pointer;
    } else {
        uint16_t pointer;
        if (!core.load_implicit(tr.base + at, pointer)) return false;
        if (!core.load_implicit(tr.base + at + 2, selector)) return false;
        out.pointer = pointer;
    }
    return check_inner_segment(core, selector, level, ext, out);
}

bool inner_stack64(Core& core, unsigned level, unsigned ist, uint32_t ext, InnerStack& out) {
    const SegmentRegister& tr = core.s.tr;
    const unsigned at = ist != 0 ? 28 + ist * 8 : 4 + level * 8;  // [SDM 3A 7.7]
    if (at + 7 > tr.limit) return core.raised(Exception::ts(code_of(tr.selector) | ext));
    if (!core.load_implicit(tr.base + at, out.pointer)) return false;
    if (!Core::canonical(out.pointer)) return core.raised(Exception::ss(ext));
    out.segment = null_segment(static_cast<uint16_t>(level), level);
    return true;
}

}  // namespace mynah::interpreter
