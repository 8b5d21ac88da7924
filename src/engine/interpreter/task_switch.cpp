#include "engine/interpreter/task_switch.h"

#include <array>

#include "engine/interpreter/core.h"
#include "engine/interpreter/descriptor.h"
#include "engine/interpreter/stack_frame.h"

namespace mynah::interpreter {

using x86::Segment;
namespace attr = x86::segment_attribute;
namespace type = x86::system_type;
namespace rflags = x86::rflags;

namespace {

// The part of a TSS that a switch loads, widened to 32 bits [SDM 3A 7.2.1, 7.6].
struct TaskImage {
    uint32_t cr3 = 0;
    uint32_t eip = 0, eflags = 0;
    std::array<uint32_t, 8> gpr{};
    std::array<uint16_t, 6> selectors{};  // in the order of x86::Segment; 16-bit TSS: no FS, GS
    uint16_t ldt = 0;
    bool trap = false;
};

// Where things are in the two kinds of TSS.
struct Layout {
    unsigned minimum_limit, word, eip, eflags, gpr, selectors, selector_step, selector_count, ldt;
};
constexpr Layout kLayout32 = {0x67, 4, 0x20, 0x24, 0x28, 0x48, 4, 6, 0x60};
constexpr Layout kLayout16 = {0x2b, 2, 0x0e, 0x10, 0x12, 0x22, 2, 4, 0x2a};
constexpr unsigned kLink = 0, kCr3At = 0x1c, kTrapAt = 0x64;

bool is_wide(uint32_t attributes) { return (attributes & 8) != 0; }

bool read_word(Core& core, uint64_t linear, bool wide, uint32_t& value) {
    if (wide) return core.load_implicit(linear, value);
    uint16_t narrow;
    if (!core.load_implicit(linear, narrow)) return false;
    value = narrow;
    return true;
}
bool write_word(Core& core, uint64_t linear, bool wide, uint32_t value) {
    return wide ? core.store_implicit(linear, value)
                : core.store_implicit(linear, static_cast<uint16_t>(value));
}

bool read_image(Core& core, uint64_t base, bool wide, TaskImage& image) {
    const Layout& at = wide ? kLayout32 : kLayout16;
    if (wide && !core.load_implicit(base + kCr3At, image.cr3)) return false;
    if (!read_word(core, base + at.eip, wide, image.eip)) return false;
    if (!read_word(core, base + at.eflags, wide, image.eflags)) return false;
    for (unsigned i = 0; i < 8; ++i) {
        if (!read_word(core, base + at.gpr + i * at.word, wide, image.gpr[i])) return false;
        if (!wide) image.gpr[i] |= 0xffff0000;  // upper halves are undefined after such a switch
    }
    for (unsigned i = 0; i < at.selector_count; ++i) {
        if (!core.load_implicit(base + at.selectors + i * at.selector_step, image.selectors[i]))
            return false;
    }
    if (!core.load_implicit(base + at.ldt, image.ldt)) return false;
    if (!wide) return true;
    uint8_t trap;
    if (!core.load_implicit(base + kTrapAt, trap)) return false;
    image.trap = (trap & 1) != 0;
    return true;
}

// Everything up to the selectors is written; CR3, LDT and the privileged stacks are not.
bool save_old_task(Core& core, uint64_t rip, uint64_t eflags) {
    const CpuState& s = core.s;
    const bool wide = is_wide(s.tr.attributes);
    const Layout& at = wide ? kLayout32 : kLayout16;
    const uint64_t base = s.tr.base;
    if (!write_word(core, base + at.eip, wide, static_cast<uint32_t>(rip))) return false;
    if (!write_word(core, base + at.eflags, wide, static_cast<uint32_t>(eflags))) return false;
    for (unsigned i = 0; i < 8; ++i) {
        if (!write_word(core, base + at.gpr + i * at.word, wide, static_cast<uint32_t>(s.gpr[i])))
            return false;
    }
    for (unsigned i = 0; i < at.selector_count; ++i) {
        const uint64_t linear = base + at.selectors + i * at.selector_step;
        if (!core.store_implicit(linear, s.segments[i].selector)) return false;
    }
    return true;
}

// Whether all that save_old_task writes can be written, so that it cannot fault half-way.
bool old_tss_writable(Core& core) {
    const SegmentRegister& tr = core.s.tr;
    const Layout& at = is_wide(tr.attributes) ? kLayout32 : kLayout16;
    if (at.minimum_limit > tr.limit) return core.raised(Exception::ts(code_of(tr.selector)));
    const unsigned last = at.selectors + (at.selector_count - 1) * at.selector_step;
    return core.probe_as(AccessMode::kImplicit, tr.base + at.eip, last + 2 - at.eip);
}

// --- loading the new task's segments; faults here are the new task's
// -------------------------------

bool load_ldt(Core& core, uint16_t selector, uint32_t ext) {
    CpuState& s = core.s;
    s.ldtr = null_segment(selector);
    if (is_null(selector)) return true;
    const Exception bad = Exception::ts(code_of(selector) | ext);
    if ((selector & x86::selector::kTi) != 0) return core.raised(bad);
    Descriptor descriptor;
    if (!read_descriptor(core, selector, bad, descriptor)) return false;
    if (descriptor.code_or_data() || descriptor.type() != type::kLdt || !descriptor.present()) {
        return core.raised(bad);
    }
    s.ldtr = descriptor.to_register(selector);
    return true;
}

bool load_task_cs(Core& core, uint16_t selector, uint32_t ext) {
    const Exception bad = Exception::ts(code_of(selector) | ext);
    if (is_null(selector)) return core.raised(bad);
    Descriptor descriptor;
    if (!read_descriptor(core, selector, bad, descriptor)) return false;
    const unsigned rpl = selector & x86::selector::kRpl;
    if (!descriptor.code()) return core.raised(bad);
    if (descriptor.conforming() ? descriptor.dpl() > rpl : descriptor.dpl() != rpl)
        return core.raised(bad);
    if (!descriptor.present()) return core.raised(Exception::np(code_of(selector) | ext));
    if (!set_accessed(core, descriptor)) return false;
    core.s.segment(Segment::kCs) = descriptor.to_register(selector);
    return true;
}

bool load_task_ss(Core& core, uint16_t selector, unsigned cpl, uint32_t ext) {
    const Exception bad = Exception::ts(code_of(selector) | ext);
    if (is_null(selector)) return core.raised(bad);
    Descriptor descriptor;
    if (!read_descriptor(core, selector, bad, descriptor)) return false;
    const bool fits = descriptor.writable_data() && descriptor.dpl() == cpl &&
                      (selector & x86::selector::kRpl) == cpl;
    if (!fits) return core.raised(bad);
    if (!descriptor.present()) return core.raised(Exception::ss(code_of(selector) | ext));
    if (!set_accessed(core, descriptor)) return false;
    core.s.segment(Segment::kSs) = descriptor.to_register(selector);
    return true;
}

bool load_task_data(Core& core, Segment which, uint16_t selector, unsigned cpl, uint32_t ext) {
    if (is_null(selector)) return true;
    const Exception bad = Exception::ts(code_of(selector) | ext);
    Descriptor descriptor;
    if (!read_descriptor(core, selector, bad, descriptor)) return false;
    if (!descriptor.code_or_data() || !descriptor.readable()) return core.raised(bad);
    const bool conforming_code = descriptor.code() && descriptor.conforming();
    const unsigned rpl = selector & x86::selector::kRpl;
    if (!conforming_code && (rpl > descriptor.dpl() || cpl > descriptor.dpl()))
        return core.raised(bad);
    if (!descriptor.present()) return core.raised(Exception::np(code_of(selector) | ext));
    if (!set_accessed(core, descriptor)) return false;
    core.s.segment(which) = descriptor.to_register(selector);
    return true;
}

// CS comes first, as it decides the privilege level the others are checked with. Until they
// pass, all segment registers hold their selectors and are unusable [SDM 3A 7.3, step 12].
bool load_segments(Core& core, const TaskImage& image, uint32_t ext) {
    CpuState& s = core.s;
    const bool v86 = s.flags.has(rflags::kVm);
    const auto cs = image.selectors[static_cast<unsigned>(Segment::kCs)];
    const unsigned cpl = v86 ? 3 : cs & x86::selector::kRpl;
    for (unsigned i = 0; i < x86::kSegmentCount; ++i) {
        s.segments[i] =
            v86 ? v86_segment(image.selectors[i]) : null_segment(image.selectors[i], cpl);
    }
    if (!load_ldt(core, image.ldt, ext)) return false;
    if (v86) return true;
    if (!load_task_cs(core, cs, ext)) return false;
    if (!load_task_ss(core, image.selectors[static_cast<unsigned>(Segment::kSs)], cpl, ext))
        return false;
    for (Segment which : {Segment::kDs, Segment::kEs, Segment::kFs, Segment::kGs}) {
        if (!load_task_data(core, which, image.selectors[static_cast<unsigned>(which)], cpl, ext))
            return false;
    }
    return true;
}

// Registers that are not segments; cannot fault but for PDPTEs, which count as a #GP later.
void load_registers(Core& core, const TaskImage& image, bool wide) {
    CpuState& s = core.s;
    if (wide && s.paging()) {
        s.cr3 = image.cr3;
        core.tlb().switch_pcid(0, true);
        core.refresh_mode();  // nothing may be cached under the old address space's number
    }
    s.rip = image.eip;
    constexpr uint64_t kLoadable = 0x003f7fd7;
    s.flags.set(wide ? image.eflags & kLoadable
                     : (s.flags.value() & 0xffff0000 & ~(rflags::kVm | rflags::kRf)) |
                           (image.eflags & 0x7fd7));
    for (unsigned i = 0; i < 8; ++i) s.gpr[i] = image.gpr[i];
    s.dr7 &= ~uint64_t{0x155};  // local breakpoint enables
    s.cr0 |= x86::cr0::kTs;
}

// Reads and checks the new TSS's descriptor [SDM 3A 7.3, steps 2 to 5].
bool find_tss(Core& core, const TaskSwitch& request, Descriptor& descriptor) {
    const bool returning = request.cause == TaskSwitchCause::kReturn;
    const uint32_t code = code_of(request.selector) | request.ext;
    const Exception bad = returning ? Exception::ts(code) : Exception::gp(code);
    if (is_null(request.selector) || (request.selector & x86::selector::kTi) != 0)
        return core.raised(bad);
    if (!read_descriptor(core, request.selector, bad, descriptor)) return false;
    const uint8_t wanted16 = returning ? type::kTss16Busy : type::kTss16Available;
    const uint8_t wanted32 = returning ? type::kTss32Busy : type::kTss32Available;
    if (descriptor.code_or_data() ||
        (descriptor.type() != wanted16 && descriptor.type() != wanted32)) {
        return core.raised(bad);
    }
    if (!descriptor.present()) return core.raised(Exception::np(code));
    const Layout& at = is_wide(descriptor.attributes()) ? kLayout32 : kLayout16;
    if (descriptor.limit() < at.minimum_limit) return core.raised(Exception::ts(code));
    return true;
}

bool push_error(Core& core, bool wide, uint32_t error_code) {
    CpuState& s = core.s;
    StackWriter stack(core, s.ss(), s.gpr[kRsp], false, access_mode_of(s.cpl()), 0);
    if (!stack.push(error_code, wide ? 4 : 2)) return false;
    set_stack_pointer_for(s, s.ss(), false, stack.pointer());
    return true;
}

// Everything that can fault in the old task, and the writes to both TSSs and their descriptors.
bool leave_old_task(Core& core, const TaskSwitch& request, const Descriptor& descriptor,
                    TaskImage& image) {
    CpuState& s = core.s;
    const bool wide = is_wide(descriptor.attributes());
    const bool nests =
        request.cause == TaskSwitchCause::kCall || request.cause == TaskSwitchCause::kEvent;
    const uint64_t base = descriptor.base();
    if (!old_tss_writable(core) || !read_image(core, base, wide, image)) return false;
    if (nests && !core.probe_as(AccessMode::kImplicit, base + kLink, 2)) return false;
    if (!core.probe_as(AccessMode::kImplicit, descriptor.address + 5, 1)) return false;

    if (!nests) {
        Descriptor old;
        const Exception bad = Exception::ts(code_of(s.tr.selector) | request.ext);
        if (!read_descriptor(core, s.tr.selector, bad, old) || !set_busy(core, old, false))
            return false;
    }
    uint64_t eflags = s.flags.value();
    if (request.cause == TaskSwitchCause::kReturn) eflags &= ~rflags::kNt;
    if (!save_old_task(core, request.return_rip, eflags)) return false;
    if (nests && !core.store_implicit(base + kLink, s.tr.selector)) return false;
    return request.cause == TaskSwitchCause::kReturn || set_busy(core, descriptor, true);
}

}  // namespace

TaskSwitchResult switch_task(Core& core, const TaskSwitch& request) {
    CpuState& s = core.s;
    Descriptor descriptor;
    TaskImage image;
    if (!find_tss(core, request, descriptor)) return TaskSwitchResult::kFault;
    if (!leave_old_task(core, request, descriptor, image)) return TaskSwitchResult::kFault;

    const bool wide = is_wide(descriptor.attributes());
    s.tr = descriptor.to_register(request.selector);
    s.tr.attributes |= 2;  // busy
    load_registers(core, image, wide);
    if (request.cause == TaskSwitchCause::kCall || request.cause == TaskSwitchCause::kEvent) {
        s.flags.system |= rflags::kNt;
    }
    const bool pae = s.paging() && (s.cr4 & x86::cr4::kPae) != 0;
    const bool pdptes_bad = wide && pae && !core.mmu.load_pdptes(s, s.cr3);
    bool ok = load_segments(core, image, request.ext);
    core.refresh_mode();
    if (ok && pdptes_bad) ok = core.raised(Exception::gp());
    if (ok && request.push_error_code) ok = push_error(core, wide, request.error_code);
    const bool in_limit = s.virtual_8086() ? s.rip <= 0xffff : s.rip <= s.cs().limit;
    if (ok && !in_limit) ok = core.raised(Exception::gp(request.ext));
    if (!ok) return TaskSwitchResult::kFaultInNewTask;
    if (image.trap) core.pending_debug |= x86::dr6::kBt;
    return TaskSwitchResult::kDone;
}

}  // namespace mynah::interpreter
