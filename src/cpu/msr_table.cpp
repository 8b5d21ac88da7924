#include "cpu/msr_table.h"

#include <algorithm>
#include <iterator>

#include "base/bits.h"
#include "base/log.h"
#include "spec/x86/msr.h"

namespace mynah {
namespace {

namespace msr = x86::msr;
namespace efer = x86::efer;

using Read = std::optional<uint64_t> (*)(const MsrContext&, uint32_t index);
using Write = bool (*)(const MsrContext&, uint32_t index, uint64_t value);

bool canonical(uint64_t address) { return sign_extend(address, 48) == address; }

// --- plain storage
// --------------------------------------------------------------------------------

template <uint64_t CpuState::*kMember>
std::optional<uint64_t> stored(const MsrContext& c, uint32_t) {
    return c.state.*kMember;
}
template <uint64_t CpuState::*kMember, uint64_t kWritable = ~uint64_t{0}>
bool store(const MsrContext& c, uint32_t, uint64_t value) {
    if ((value & ~kWritable) != 0) return false;
    c.state.*kMember = value;
    return true;
}
template <uint64_t CpuState::*kMember>
bool store_canonical(const MsrContext& c, uint32_t, uint64_t value) {
    if (!canonical(value)) return false;
    c.state.*kMember = value;
    return true;
}
template <uint64_t kValue>
std::optional<uint64_t> constant(const MsrContext&, uint32_t) {
    return kValue;
}
bool ignored(const MsrContext&, uint32_t, uint64_t) { return true; }
bool only_zero(const MsrContext&, uint32_t, uint64_t value) { return value == 0; }

// --- mode and segments
// -----------------------------------------------------------------------------

// LMA follows CR0.PG and is not written; LME may change only without paging [SDM 3A 2.2.1].
bool write_efer(const MsrContext& c, uint32_t, uint64_t value) {
    if ((value & ~c.policy.valid_efer()) != 0) return false;
    if (c.state.paging() && ((value ^ c.state.efer) & efer::kLme) != 0) return false;
    c.state.efer = (value & ~efer::kLma) | (c.state.efer & efer::kLma);
    return true;
}

template <x86::Segment kSegment>
std::optional<uint64_t> read_base(const MsrContext& c, uint32_t) {
    return c.state.segment(kSegment).base;
}
template <x86::Segment kSegment>
bool write_base(const MsrContext& c, uint32_t, uint64_t value) {
    if (!canonical(value)) return false;
    c.state.segment(kSegment).base = value;
    return true;
}

// --- time
// ------------------------------------------------------------------------------------------

std::optional<uint64_t> read_tsc(const MsrContext& c, uint32_t) { return c.tsc; }
// A write to either of TSC and TSC_ADJUST moves both by the same amount [SDM 3B 17.17.3].
bool write_tsc(const MsrContext& c, uint32_t, uint64_t value) {
    const uint64_t moved = value - c.tsc;
    c.state.tsc_offset += moved;
    c.state.tsc_adjust += moved;
    c.ports.tsc_moved(c.state.tsc_offset);
    return true;
}
bool write_tsc_adjust(const MsrContext& c, uint32_t, uint64_t value) {
    c.state.tsc_offset += value - c.state.tsc_adjust;
    c.state.tsc_adjust = value;
    c.ports.tsc_moved(c.state.tsc_offset);
    return true;
}

// --- memory types: stored, as RAM is always write-back here
// ----------------------------------------

bool memory_type(uint64_t type) { return type == 0 || type == 1 || (type >= 4 && type <= 6); }

bool write_pat(const MsrContext& c, uint32_t, uint64_t value) {
    for (unsigned i = 0; i < 64; i += 8) {
        const uint64_t type = value >> i & 0xff;
        if (!memory_type(type) && type != 7) return false;  // 7: UC-
    }
    c.state.pat = value;
    return true;
}

// 8 variable ranges, fixed ranges, write-combining [SDM 3A 11.11.1].
constexpr uint64_t kMtrrCapValue = 0x508;

bool write_mtrr_def_type(const MsrContext& c, uint32_t, uint64_t value) {
    if ((value & ~uint64_t{0xcff}) != 0 || !memory_type(value & 0xff)) return false;
    c.state.mtrr_def_type = value;
    return true;
}
std::optional<uint64_t> read_mtrr_variable(const MsrContext& c, uint32_t index) {
    return c.state.mtrr_variable[index - msr::kMtrrPhysBase0];
}
bool write_mtrr_variable(const MsrContext& c, uint32_t index, uint64_t value) {
    const bool is_mask = (index & 1) != 0;
    const uint64_t above = ~low_mask(c.policy.physical_bits());
    if ((value & above) != 0) return false;
    if (is_mask ? (value & 0x7ff) != 0 : (value & 0xf00) != 0 || !memory_type(value & 0xff))
        return false;
    c.state.mtrr_variable[index - msr::kMtrrPhysBase0] = value;
    return true;
}

size_t fixed_slot(uint32_t index) {
    if (index == msr::kMtrrFix64k) return 0;
    if (index <= msr::kMtrrFix16k1) return 1 + index - msr::kMtrrFix16k0;
    return 3 + index - msr::kMtrrFix4k0;
}
std::optional<uint64_t> read_mtrr_fixed(const MsrContext& c, uint32_t index) {
    return c.state.mtrr_fixed[fixed_slot(index)];
}
bool write_mtrr_fixed(const MsrContext& c, uint32_t index, uint64_t value) {
    for (unsigned i = 0; i < 64; i += 8) {
        if (!memory_type(value >> i & 0xff)) return false;
    }
    c.state.mtrr_fixed[fixed_slot(index)] = value;
    return true;
}

// --- identification and side channels
// ---------------------------------------------------------------

// Says that nothing needs a mitigation: guest code does not run speculatively on anything of
// the guest kernel's, as every access goes through our own checks.
std::optional<uint64_t> read_arch_capabilities(const MsrContext& c, uint32_t) {
    using namespace msr::arch_capabilities;
    if (!c.policy.has("arch-capabilities")) return std::nullopt;
    return kRdclNo | kIbrsAll | kSkipL1dflVmentry | kSsbNo | kMdsNo | kIfPschangeMcNo | kTaaNo |
           kSbdrSsdpNo | kFbsdpNo | kPsdpNo | kBhiNo | kPbrsbNo | kGdsNo | kRfdsNo | kItsNo;
}
std::optional<uint64_t> read_spec_ctrl(const MsrContext& c, uint32_t) {
    if (!c.policy.has("spec-ctrl")) return std::nullopt;
    return c.state.spec_ctrl;
}
bool write_spec_ctrl(const MsrContext& c, uint32_t, uint64_t value) {
    // BHI_DIS_S is there because Linux 6.1 takes it instead of a loop in every system call; it does
    // not look at BHI_NO.
    constexpr uint64_t kIbrs = 1, kStibp = 2, kSsbd = 4, kBhiDisS = 1u << 10;
    const uint64_t valid = kIbrs | (c.policy.has("stibp") ? kStibp : 0) |
                           (c.policy.has("ssbd") ? kSsbd : 0) |
                           (c.policy.has("bhi-ctrl") ? kBhiDisS : 0);
    if (!c.policy.has("spec-ctrl") || (value & ~valid) != 0) return false;
    c.state.spec_ctrl = value;
    return true;
}
bool write_pred_cmd(const MsrContext& c, uint32_t, uint64_t value) {
    constexpr uint64_t kIbpb = 1;
    return c.policy.has("spec-ctrl") && (value & ~kIbpb) == 0;
}

// BTS and PEBS unavailable read as ones; fast strings, thermal monitor, EIST, MONITOR, CPUID limit,
// TPR messages and XD disable may be written, without effect but that they are kept.
constexpr uint64_t kMiscUnavailable = bit(11) | bit(12);
constexpr uint64_t kMiscWritable =
    bit(0) | bit(3) | bit(16) | bit(18) | bit(20) | bit(22) | bit(23) | bit(34);
std::optional<uint64_t> read_misc_enable(const MsrContext& c, uint32_t) {
    return c.state.misc_enable | kMiscUnavailable;
}
bool write_misc_enable(const MsrContext& c, uint32_t, uint64_t value) {
    if ((value & ~(kMiscWritable | kMiscUnavailable)) != 0) return false;
    c.state.misc_enable = value & kMiscWritable;
    return true;
}

// --- what the machine answers
// -----------------------------------------------------------------------

std::optional<uint64_t> read_ports(const MsrContext& c, uint32_t index) {
    return c.ports.read_msr(index);
}
bool write_ports(const MsrContext& c, uint32_t index, uint64_t value) {
    return c.ports.write_msr(index, value);
}

// --- the table
// ---------------------------------------------------------------------------------------

struct Row {
    uint32_t first, last;
    Read read;    // null: #GP
    Write write;  // null: #GP
};
constexpr Row one(uint32_t index, Read read, Write write) { return {index, index, read, write}; }

constexpr uint64_t kMicrocodeRevision = uint64_t{1} << 32;
constexpr uint64_t kFeatureControlLocked = 1;  // and nothing enabled: no VMX, no SMX

// Ascending.
constexpr Row kRows[] = {
    one(msr::kTsc, read_tsc, write_tsc),
    one(msr::kPlatformId, constant<0>, nullptr),
    one(msr::kApicBase, read_ports, write_ports),
    one(msr::kFeatureControl, constant<kFeatureControlLocked>, nullptr),
    one(msr::kTscAdjust, stored<&CpuState::tsc_adjust>, write_tsc_adjust),
    one(msr::kSpecCtrl, read_spec_ctrl, write_spec_ctrl),
    one(msr::kPredCmd, nullptr, write_pred_cmd),
    one(msr::kBiosUpdateTrigger, nullptr, ignored),
    one(msr::kBiosSignature, constant<kMicrocodeRevision>, ignored),
    one(msr::kMtrrCap, constant<kMtrrCapValue>, nullptr),
    one(msr::kArchCapabilities, read_arch_capabilities, nullptr),
    one(msr::kSysenterCs, stored<&CpuState::sysenter_cs>, store<&CpuState::sysenter_cs>),
    one(msr::kSysenterEsp, stored<&CpuState::sysenter_esp>,
        store_canonical<&CpuState::sysenter_esp>),
    one(msr::kSysenterEip, stored<&CpuState::sysenter_eip>,
        store_canonical<&CpuState::sysenter_eip>),
    one(msr::kMcgCap, constant<0>, nullptr),  // no banks
    one(msr::kMcgStatus, stored<&CpuState::mcg_status>, store<&CpuState::mcg_status, 7>),
    one(msr::kPerfStatus, constant<0>, nullptr),
    one(msr::kPerfControl, constant<0>, ignored),
    one(msr::kMiscEnable, read_misc_enable, write_misc_enable),
    one(msr::kDebugControl, constant<0>, only_zero),
    {msr::kMtrrPhysBase0, msr::kMtrrPhysBase0 + 15, read_mtrr_variable, write_mtrr_variable},
    one(msr::kMtrrFix64k, read_mtrr_fixed, write_mtrr_fixed),
    {msr::kMtrrFix16k0, msr::kMtrrFix16k1, read_mtrr_fixed, write_mtrr_fixed},
    {msr::kMtrrFix4k0, msr::kMtrrFix4k0 + 7, read_mtrr_fixed, write_mtrr_fixed},
    one(msr::kPat, stored<&CpuState::pat>, write_pat),
    one(msr::kMtrrDefType, stored<&CpuState::mtrr_def_type>, write_mtrr_def_type),
    one(msr::kTscDeadline, read_ports, write_ports),
    {msr::kX2ApicFirst, msr::kX2ApicLast, read_ports, write_ports},
    one(msr::kEfer, stored<&CpuState::efer>, write_efer),
    one(msr::kStar, stored<&CpuState::star>, store<&CpuState::star>),
    one(msr::kLstar, stored<&CpuState::lstar>, store_canonical<&CpuState::lstar>),
    one(msr::kCstar, stored<&CpuState::cstar>, store_canonical<&CpuState::cstar>),
    one(msr::kFmask, stored<&CpuState::fmask>, store<&CpuState::fmask, 0xffffffff>),
    one(msr::kFsBase, read_base<x86::Segment::kFs>, write_base<x86::Segment::kFs>),
    one(msr::kGsBase, read_base<x86::Segment::kGs>, write_base<x86::Segment::kGs>),
    one(msr::kKernelGsBase, stored<&CpuState::kernel_gs_base>,
        store_canonical<&CpuState::kernel_gs_base>),
    one(msr::kTscAux, stored<&CpuState::tsc_aux>, store<&CpuState::tsc_aux, 0xffffffff>),
};
static_assert(std::ranges::is_sorted(kRows, {}, &Row::first));

const Row* find_row(uint32_t index) {
    const Row* row = std::ranges::lower_bound(kRows, index, {}, &Row::last);
    return row != std::end(kRows) && row->first <= index ? row : nullptr;
}

}  // namespace

std::optional<uint64_t> read_msr(const MsrContext& context, uint32_t index) {
    if (const Row* row = find_row(index); row != nullptr) {
        return row->read == nullptr ? std::nullopt : row->read(context, index);
    }
    // The machine may know it (paravirtual interfaces have their own).
    std::optional<uint64_t> value = context.ports.read_msr(index);
    static LogLimit limit;
    if (!value && limit.allow()) log(LogLevel::kDebug, "cpu: read of unknown MSR {:#x}", index);
    return value;
}

bool write_msr(const MsrContext& context, uint32_t index, uint64_t value) {
    if (const Row* row = find_row(index); row != nullptr) {
        return row->write != nullptr && row->write(context, index, value);
    }
    if (context.ports.write_msr(index, value)) return true;
    static LogLimit limit;
    if (limit.allow())
        log(LogLevel::kDebug, "cpu: write of {:#x} to unknown MSR {:#x}", value, index);
    return false;
}

}  // namespace mynah
