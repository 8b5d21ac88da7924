// INVLPG INVPCID INVD WBINVD CLFLUSH CLFLUSHOPT CLWB PREFETCH, fences, SERIALIZE [SDM 2A, 2B].
//
// Guest RAM is the host's coherent memory, so that caches need no care; the host's own order of
// loads and stores is the guest's.

#include <atomic>

#include "engine/interpreter/operand.h"
#include "engine/interpreter/system.h"

namespace mynah::interpreter {
namespace {

Outcome invlpg(Core& core, const Op& op) {
    if (!privileged(core)) return Outcome::kFault;
    const bool flat = core.mode.code_size == CodeSize::k64 && op.segment < x86::Segment::kFs;
    uint64_t linear = core.effective_address(op) + (flat ? 0 : core.s.segment(op.segment).base);
    if (core.mode.code_size != CodeSize::k64) linear &= 0xffffffff;
    // The address of nothing invalidates nothing.
    if (Core::canonical(linear)) core.tlb().flush_page(linear);
    return core.leave_after(op);
}

// Forgets the translations of one PCID.
void flush_pcid(Core& core, uint16_t pcid) {
    const auto current = static_cast<uint16_t>(core.s.cr3 & 0xfff);
    core.tlb().switch_pcid(pcid, true);
    if (pcid != current) core.tlb().switch_pcid(current, false);
}

// op.src holds the type; the descriptor is 16 bytes: PCID in bits 11:0, a linear address behind.
template <typename T>
Outcome invpcid(Core& core, const Op& op) {
    if (!privileged(core)) return Outcome::kFault;
    uint64_t linear;
    uint64_t descriptor[2];
    if (!core.operand_linear(op, sizeof descriptor, AccessKind::kRead, linear) ||
        !core.load_bytes(linear, descriptor, sizeof descriptor)) {
        return Outcome::kFault;
    }
    const uint64_t kind = core.reg<T>(op.src);
    const auto pcid = static_cast<uint16_t>(descriptor[0] & 0xfff);
    const bool pcids = (core.s.cr4 & x86::cr4::kPcide) != 0;
    if (kind > 3 || (descriptor[0] >> 12) != 0) return core.raise(Exception::gp());
    if (kind <= 1 && !pcids && pcid != 0) return core.raise(Exception::gp());
    if (kind == 0) {
        if (!Core::canonical(descriptor[1])) return core.raise(Exception::gp());
        core.tlb().flush_page(descriptor[1]);
    } else if (kind == 1 && pcids) {
        flush_pcid(core, pcid);
    } else {
        core.tlb().flush_all();
    }
    return core.leave_after(op);
}
bool build_invpcid(Build& b) {
    b.op.src = b.slot(0);
    return b.done_ending_block(b.mode.code_size == CodeSize::k64 ? invpcid<uint64_t>
                                                                 : invpcid<uint32_t>);
}

Outcome invalidate_caches(Core& core, const Op&) {
    return privileged(core) ? Outcome::kNext : Outcome::kFault;
}

// The cache line must be readable; nothing else can be seen of it.
Outcome flush_line(Core& core, const Op& op) {
    uint64_t linear;
    bool faulted = false;
    if (!core.operand_linear(op, 1, AccessKind::kRead, linear)) return Outcome::kFault;
    core.host_for_read(linear, 1, faulted);
    return faulted ? Outcome::kFault : Outcome::kNext;
}

Outcome nothing(Core&, const Op&) { return Outcome::kNext; }

Outcome mfence(Core&, const Op&) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return Outcome::kNext;
}

}  // namespace

void add_cache_control(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_INVLPG] = build_ending_op<invlpg>;
    table[ZYDIS_MNEMONIC_INVPCID] = build_invpcid;
    table[ZYDIS_MNEMONIC_INVD] = build_plain_op<invalidate_caches>;
    table[ZYDIS_MNEMONIC_WBINVD] = build_plain_op<invalidate_caches>;
    table[ZYDIS_MNEMONIC_CLFLUSH] = build_plain_op<flush_line>;
    table[ZYDIS_MNEMONIC_CLFLUSHOPT] = build_plain_op<flush_line>;
    table[ZYDIS_MNEMONIC_CLWB] = build_plain_op<flush_line>;
    for (ZydisMnemonic hint :
         {ZYDIS_MNEMONIC_PREFETCH, ZYDIS_MNEMONIC_PREFETCHNTA, ZYDIS_MNEMONIC_PREFETCHT0,
          ZYDIS_MNEMONIC_PREFETCHT1, ZYDIS_MNEMONIC_PREFETCHT2, ZYDIS_MNEMONIC_PREFETCHW,
          ZYDIS_MNEMONIC_PREFETCHWT1}) {
        table[hint] = build_plain_op<nothing>;
    }
    table[ZYDIS_MNEMONIC_LFENCE] = build_plain_op<nothing>;
    table[ZYDIS_MNEMONIC_SFENCE] = build_plain_op<nothing>;
    table[ZYDIS_MNEMONIC_MFENCE] = build_plain_op<mfence>;
    table[ZYDIS_MNEMONIC_SERIALIZE] = build_plain_op<mfence>;
}

}  // namespace mynah::interpreter
