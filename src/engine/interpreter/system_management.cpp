// Into system management mode and out of it: the SMI, and RSM.

#include "engine/interpreter/system_management.h"

#include <array>
#include <cstring>
#include <optional>

#include "engine/interpreter/operand.h"
#include "engine/interpreter/system.h"
#include "spec/x86/smm_state_save_area.h"

namespace mynah::interpreter {

namespace {

namespace smm = x86::smm;
namespace attr = x86::segment_attribute;
namespace cr0 = x86::cr0;
namespace efer = x86::efer;

// An image of the area, which is written and read as a whole.
class SaveArea {
  public:
    template <typename T>
    T get(uint32_t offset) const {
        T value;
        std::memcpy(&value, &bytes_[offset - smm::kAreaStart], sizeof(T));
        return value;
    }
    template <typename T>
    void put(uint32_t offset, T value) {
        std::memcpy(&bytes_[offset - smm::kAreaStart], &value, sizeof(T));
    }
    std::array<std::byte, smm::kAreaSize>& bytes() { return bytes_; }

  private:
    std::array<std::byte, smm::kAreaSize> bytes_{};
};

// Calls visit(host bytes, offset in the area, writable) for each piece that is memory.
template <typename Visit>
void for_each_piece(const Core& core, Visit&& visit) {
    const GuestPhys start{uint64_t{core.s.smbase} + smm::kAreaStart};
    for (uint64_t offset = 0; offset < smm::kAreaSize;) {
        const auto run = core.shared.memory.find(start + offset, smm::kAreaSize - offset,
                                                 MemoryView::kManagement);
        const uint64_t size = run ? run->size : 1;
        if (run) visit(*run, offset);
        offset += size;
    }
}

void put_segment(SaveArea& area, uint32_t at, const SegmentRegister& segment) {
    const bool usable = segment.usable();
    const uint32_t attributes = usable ? segment.attributes : segment.attributes & ~attr::kPresent;
    area.put<uint16_t>(at + smm::kSelector, segment.selector);
    area.put<uint16_t>(at + smm::kAttributes,
                       static_cast<uint16_t>(attributes & smm::kAttributeBits));
    area.put<uint32_t>(at + smm::kLimit, segment.limit);
    area.put<uint64_t>(at + smm::kBase, segment.base);
}

SegmentRegister get_segment(const SaveArea& area, uint32_t at) {
    SegmentRegister segment{
        .base = area.get<uint64_t>(at + smm::kBase),
        .limit = area.get<uint32_t>(at + smm::kLimit),
        .attributes = area.get<uint16_t>(at + smm::kAttributes) & uint32_t{smm::kAttributeBits},
        .selector = area.get<uint16_t>(at + smm::kSelector)};
    if ((segment.attributes & attr::kPresent) == 0) segment.attributes |= attr::kUnusable;
    return segment;
}

void save(const CpuState& s, SaveArea& area) {
    for (uint32_t i = 0; i < x86::kSegmentCount; ++i)
        put_segment(area, smm::kSegments + 16 * i, s.segments[i]);
    put_segment(area, smm::kLdtr, s.ldtr);
    put_segment(area, smm::kTr, s.tr);
    area.put<uint32_t>(smm::kGdtr + smm::kLimit, s.gdtr.limit);
    area.put<uint64_t>(smm::kGdtr + smm::kBase, s.gdtr.base);
    area.put<uint32_t>(smm::kIdtr + smm::kLimit, s.idtr.limit);
    area.put<uint64_t>(smm::kIdtr + smm::kBase, s.idtr.base);
    area.put<uint64_t>(smm::kEfer, s.efer);
    area.put<uint32_t>(smm::kRevision, smm::kRevision64);
    area.put<uint32_t>(smm::kSmbase, s.smbase);
    area.put<uint64_t>(smm::kCr4, s.cr4);
    area.put<uint64_t>(smm::kCr3, s.cr3);
    area.put<uint64_t>(smm::kCr0, s.cr0);
    area.put<uint64_t>(smm::kDr7, s.dr7);
    area.put<uint64_t>(smm::kDr6, s.dr6);
    area.put<uint64_t>(smm::kRflags, s.flags.value());
    area.put<uint64_t>(smm::kRip, s.rip);
    for (uint32_t i = 0; i < 16; ++i) area.put<uint64_t>(smm::kRax - 8 * i, s.gpr[i]);
}

// The state in which a handler begins [AMD APM2 10.3.1 table 10-3].
void begin(CpuState& s) {
    for (SegmentRegister& segment : s.segments) {
        segment = {.base = 0,
                   .limit = 0xffffffff,
                   .attributes = attr::kPresent | attr::kCodeOrData | attr::kReadableOrWritable |
                                 attr::kAccessed | attr::kGranularity,
                   .selector = 0};
    }
    SegmentRegister& cs = s.segment(x86::Segment::kCs);
    cs.base = s.smbase;
    cs.selector = static_cast<uint16_t>(s.smbase >> 4);
    s.rip = smm::kEntryOffset;
    s.flags.set(x86::rflags::kOne);
    s.cr0 &= ~(cr0::kPe | cr0::kEm | cr0::kTs | cr0::kPg);
    s.cr4 = 0;
    s.efer = 0;
    s.dr7 = x86::dr7::kReset;
    s.interrupt_shadow = s.debug_shadow = false;
}

// What the area says of the processor's mode.
struct Mode {
    uint64_t cr0, cr4, efer, flags;
    bool long_mode;
};

// Nothing: no processor can be in such a mode, which shuts it down [AMD APM2 10.4].
std::optional<Mode> get_mode(const Core& core, const SaveArea& area) {
    Mode mode{.cr0 = area.get<uint64_t>(smm::kCr0),
              .cr4 = area.get<uint64_t>(smm::kCr4),
              .efer = area.get<uint64_t>(smm::kEfer) & ~efer::kLma,
              .flags = area.get<uint64_t>(smm::kRflags) & 0x3f7fd7,
              .long_mode = false};
    if (mode.cr0 >> 32 != 0) return std::nullopt;
    mode.cr0 = (mode.cr0 & 0xe005003f) | cr0::kEt;
    const bool paging = (mode.cr0 & cr0::kPg) != 0, protection = (mode.cr0 & cr0::kPe) != 0;
    mode.long_mode = paging && (mode.efer & efer::kLme) != 0;
    if (mode.long_mode) mode.efer |= efer::kLma;
    const bool possible =
        (!paging || protection) && (mode.cr0 & (cr0::kNw | cr0::kCd)) != cr0::kNw &&
        (mode.cr4 & ~core.shared.cpuid.valid_cr4()) == 0 &&
        (mode.efer & ~core.shared.cpuid.valid_efer()) == 0 &&
        (mode.cr4 & (mode.long_mode ? x86::cr4::kPae : x86::cr4::kPcide)) ==
            (mode.long_mode ? x86::cr4::kPae : 0) &&
        ((mode.flags & x86::rflags::kVm) == 0 || (protection && !mode.long_mode));
    return possible ? std::optional(mode) : std::nullopt;
}

// Segments that fit the mode: the privilege level is that of SS, and no level at all in real mode;
// bases are those that loading could have put there.
bool get_segments(const SaveArea& area, const Mode& mode, CpuState& s) {
    for (uint32_t i = 0; i < x86::kSegmentCount; ++i) {
        SegmentRegister& segment = s.segments[i];
        segment = get_segment(area, smm::kSegments + 16 * i);
        segment.base = mode.long_mode ? sign_extend(segment.base, 48) : segment.base & 0xffffffff;
    }
    SegmentRegister& cs = s.segment(x86::Segment::kCs);
    SegmentRegister& ss = s.segment(x86::Segment::kSs);
    if (!mode.long_mode) cs.attributes &= ~attr::kLong;
    if (cs.long_mode() && cs.default_big()) return false;
    const auto set_level = [](SegmentRegister& segment, uint32_t level) {
        segment.attributes = (segment.attributes & ~attr::kDpl) | level << attr::kDplShift;
    };
    if ((mode.cr0 & cr0::kPe) == 0) {
        for (SegmentRegister& segment : s.segments) set_level(segment, 0);
    } else if ((mode.flags & x86::rflags::kVm) != 0) {
        for (SegmentRegister& segment : s.segments) set_level(segment, 3);
    } else if (cs.long_mode()) {
        // Code of one privilege level with a stack of another is in no mode.
        if ((cs.attributes & attr::kConformingOrExpandDown) == 0 && cs.dpl() != ss.dpl()) return false;
        if ((cs.selector & 3) != ss.dpl()) return false;
    }
    s.ldtr = get_segment(area, smm::kLdtr);
    s.tr = get_segment(area, smm::kTr);
    return true;
}

// False: the processor shuts down. The state may have changed in part.
bool restore(Core& core, const SaveArea& area) {
    CpuState& s = core.s;
    const std::optional<Mode> mode = get_mode(core, area);
    if (!mode || !get_segments(area, *mode, s)) return false;
    s.cr0 = mode->cr0;
    s.cr4 = mode->cr4;
    s.efer = mode->efer;
    s.cr3 = area.get<uint64_t>(smm::kCr3) & low_mask(core.mmu.physical_bits());
    s.gdtr = {.base = area.get<uint64_t>(smm::kGdtr + smm::kBase),
              .limit = static_cast<uint16_t>(area.get<uint32_t>(smm::kGdtr + smm::kLimit))};
    s.idtr = {.base = area.get<uint64_t>(smm::kIdtr + smm::kBase),
              .limit = static_cast<uint16_t>(area.get<uint32_t>(smm::kIdtr + smm::kLimit))};
    s.dr7 = (area.get<uint64_t>(smm::kDr7) & 0xffff23ff) | x86::dr7::kReset;
    s.dr6 = (area.get<uint64_t>(smm::kDr6) & 0xe00f) | x86::dr6::kReset;
    s.flags.set(mode->flags);
    s.rip = area.get<uint64_t>(smm::kRip);
    if (!s.code64()) s.rip &= 0xffffffff;
    if (!Core::canonical(s.rip)) return false;
    for (uint32_t i = 0; i < 16; ++i) s.gpr[i] = area.get<uint64_t>(smm::kRax - 8 * i);
    s.smbase = area.get<uint32_t>(smm::kSmbase);
    return true;
}

Outcome rsm(Core& core, const Op& op) {
    CpuState& s = core.s;
    if (!s.management_mode) return core.raise(Exception::ud());
    SaveArea area;
    area.bytes().fill(std::byte{0xff});
    for_each_piece(core, [&area](const GuestMemory::Run& run, uint64_t offset) {
        std::memcpy(&area.bytes()[offset], run.host, run.size);
    });
    if (!restore(core, area)) return core.stop_after(op, VcpuExit::kShutdown);
    s.management_mode = false;
    s.nmi_blocked = s.nmi_blocked_before_smi;
    s.interrupt_shadow = s.debug_shadow = false;
    // What an empty PDPTE register says is the same as what memory with nothing in it does.
    const bool pdptes = s.paging() && (s.cr4 & x86::cr4::kPae) != 0 && !s.long_mode();
    if (pdptes && !core.mmu.load_pdptes(s, s.cr3)) return core.stop_after(op, VcpuExit::kShutdown);
    core.tlb().flush_all();
    core.tlb().switch_pcid((s.cr4 & x86::cr4::kPcide) != 0 ? s.cr3 & 0xfff : 0, true);
    return Outcome::kLeave;
}

}  // namespace

void enter_management_mode(Core& core) {
    CpuState& s = core.s;
    SaveArea area;
    // What the handler finds in the fields that are left out is what was there.
    for_each_piece(core, [&area](const GuestMemory::Run& run, uint64_t offset) {
        std::memcpy(&area.bytes()[offset], run.host, run.size);
    });
    area.put<uint16_t>(smm::kIoRestart, 0);  // neither an I/O nor a HLT is to be done again
    save(s, area);
    for_each_piece(core, [&](const GuestMemory::Run& run, uint64_t offset) {
        if (!run.writable) return;
        std::memcpy(run.host, &area.bytes()[offset], run.size);
        core.shared.memory.watch().wrote(run.host, run.size);
    });
    s.management_mode = true;
    s.nmi_blocked_before_smi = s.nmi_blocked;
    s.nmi_blocked = true;
    begin(s);
    core.tlb().flush_all();
    core.tlb().switch_pcid(0, true);
}

void add_system_management(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_RSM] = build_ending_op<rsm>;
}

}  // namespace mynah::interpreter
