#include "engine/translator/thunks.h"

#include "cpu/cpu_state.h"
#include "cpu/mmu.h"
#include "engine/soft_tlb.h"
#include "engine/translator/block.h"
#include "engine/translator/x87_thunks.h"

namespace mynah::translator {
namespace {

constexpr HostReg kCalleeSaved[] = {kHostRbx, kHostRbp, kHostR12, kHostR13, kHostR14, kHostR15};
constexpr uint32_t kDefaultMxcsr = 0x1f80;

class ThunkEmitter {
  public:
    ThunkEmitter(Emitter& e, const Offsets& offsets) : e_(e), offsets_(offsets) {}

    Thunks emit(const ThunkTargets& targets) {
        Thunks thunks;
        // Constants come first: an address that every thunk knows.
        const std::byte* mxcsr = e_.here();
        e_.dword(kDefaultMxcsr);
        mxcsr_ = mxcsr;
        align();
        thunks.enter = e_.here();
        emit_enter();
        align();
        thunks.exit_indirect = e_.here();
        below_ = 8;
        e_.store(frame(offsetof(HostFrame, exit_value)), kScratch0);
        below_ = 0;
        thunks.exit = e_.here();  // falls through
        emit_exit();
        align();
        thunks.slow_access = e_.here();
        emit_slow_access(targets);
        thunks.stack_read = emit_stack(AccessKind::kRead, thunks.slow_access);
        thunks.stack_write = emit_stack(AccessKind::kWrite, thunks.slow_access);
        thunks.stack_range_read = emit_stack(AccessKind::kRead, nullptr);
        thunks.stack_range_write = emit_stack(AccessKind::kWrite, nullptr);
        align();
        thunks.handler = e_.here();
        emit_handler(targets);
        align();
        thunks.load_vectors = e_.here();
        below_ = 8;
        load_vectors();
        e_.store_imm8(frame(offsetof(HostFrame, vectors_live)), 1);
        e_.ret();
        align();
        thunks.load_x87 = e_.here();
        emit_load_x87(e_, offsets_, below_);
        e_.ret();
        return thunks;
    }

  private:
    // Below the frame lie what thunks have on the stack: `below_` bytes.
    HostMem frame(size_t offset) const {
        return {.base = kFrameReg, .disp = static_cast<int32_t>(offset) + below_};
    }
    HostMem at(int32_t offset) const { return {.base = kFrameReg, .disp = offset + below_}; }

    void align() {
        while (e_.offset() % 16 != 0) e_.byte(0xcc);
    }
    void store_guest() {
        for (unsigned i = 0; i < 16; ++i) {
            if (kHomeOf[i] != kNoHostReg) e_.store(at(offsets_.gpr + 8 * int(i)), kHomeOf[i]);
        }
    }
    void load_guest(bool all) {
        for (unsigned i = 0; i < 16; ++i) {
            const HostReg home = kHomeOf[i];
            if (home == kNoHostReg) continue;
            bool saved = false;
            for (const HostReg reg : kCalleeSaved) saved = saved || reg == home;
            if (all || !saved) e_.load(home, at(offsets_.gpr + 8 * int(i)));
        }
    }
    void vector_move(unsigned opcode, unsigned reg) {  // VMOVDQU ymm
        e_.byte(0xc5);
        e_.byte(reg < 8 ? 0xfe : 0x7e);
        e_.byte(opcode);
        e_.modrm_mem(reg, at(offsets_.vector + int(sizeof(VectorRegister) * reg)));
    }
    void mxcsr(unsigned extension, const HostMem& mem) {
        e_.rex_mem(false, 0, mem);
        e_.byte(0x0f);
        e_.byte(0xae);
        e_.modrm_mem(extension, mem);
    }
    void load_vectors() {
        for (unsigned i = 0; i < 16; ++i) vector_move(0x6f, i);
        mxcsr(2, at(offsets_.mxcsr));
    }
    // Saves the vector registers if they hold the guest's, and leaves the host's MXCSR.
    void save_vectors() {
        Label none;
        e_.cmp8_mem_imm(frame(offsetof(HostFrame, vectors_live)), 0);
        e_.jcc(Condition::kZ, none);
        for (unsigned i = 0; i < 16; ++i) vector_move(0x7f, i);
        mxcsr(3, at(offsets_.mxcsr));
        e_.byte(0xc5);  // VZEROUPPER
        e_.byte(0xf8);
        e_.byte(0x77);
        // LDMXCSR [rip + displacement]
        e_.byte(0x0f);
        e_.byte(0xae);
        e_.byte(0x15);
        e_.dword(static_cast<uint32_t>(mxcsr_ - (e_.here() + 4)));
        e_.bind(none);
    }

    void save_x87() { emit_save_x87(e_, offsets_, below_); }
    // They no longer hold the guest's.
    void forget_units() {
        e_.store_imm8(frame(offsetof(HostFrame, vectors_live)), 0);
        e_.store_imm8(frame(offsetof(HostFrame, x87_live)), 0);
    }

    void emit_enter() {
        for (const HostReg reg : kCalleeSaved) e_.push(reg);
        below_ = 0;
        e_.store({.base = kHostRdi, .disp = offsetof(HostFrame, host_rsp)}, kHostRsp);
        e_.mov(kHostRsp, kHostRdi);
        e_.mov(kHostRax, kHostRsi);
        load_guest(true);
        e_.jmp_reg(kHostRax);
    }
    // Everything of the guest's is stored; EAX is returned.
    void leave() {
        e_.load(kHostRsp, frame(offsetof(HostFrame, host_rsp)));
        for (unsigned i = std::size(kCalleeSaved); i-- > 0;) e_.pop(kCalleeSaved[i]);
        e_.ret();
    }
    void emit_exit() {
        e_.pop(kScratch1);
        store_guest();
        save_vectors();
        save_x87();
        forget_units();
        e_.load(kHostRax, {.base = kScratch1}, false);
        leave();
    }
    void call(const void* target) {
        e_.alu_imm(Alu::kSub, kHostRsp, 8);  // C++ wants 16-byte alignment
        e_.mov_imm(kHostRax, reinterpret_cast<uint64_t>(target));
        e_.call_reg(kHostRax);
        e_.alu_imm(Alu::kAdd, kHostRsp, 8);
        e_.test(kHostRax, kHostRax);
    }
    // The data before the call that led here, whose return address is at RSP.
    static HostMem before_call(HostReg return_address, size_t size, size_t field = 0) {
        return {.base = return_address,
                .disp = -kCallLength - static_cast<int32_t>(size) + static_cast<int32_t>(field)};
    }
    void emit_slow_access(const ThunkTargets& targets) {
        below_ = 8;
        store_guest();
        e_.store(frame(offsetof(HostFrame, exit_value)), kScratch0);
        save_vectors();
        save_x87();
        e_.mov_imm(kHostRdi, reinterpret_cast<uint64_t>(targets.self));
        e_.load(kHostRsi, frame(offsetof(HostFrame, exit_value)));
        e_.mov(kHostRdx, kScratch1);
        e_.load(kHostRcx, {.base = kHostRsp});
        e_.lea(kHostRcx, before_call(kHostRcx, sizeof(AccessSite)));
        call(targets.slow_access);
        Label failed, no_vectors;
        e_.jcc(Condition::kZ, failed);
        e_.cmp8_mem_imm(frame(offsetof(HostFrame, vectors_live)), 0);
        e_.jcc(Condition::kZ, no_vectors);
        load_vectors();
        e_.bind(no_vectors);
        emit_reload_x87(e_, below_);
        load_guest(false);
        e_.ret();
        e_.bind(failed);
        forget_units();
        e_.mov_imm(kHostRax, 0);  // site 0
        leave();
    }
    // A stack access on another page than the last one: looks in the TLB.
    const std::byte* emit_stack(AccessKind kind, const std::byte* slow) {
        align();
        const std::byte* const start = e_.here();
        const bool writes = kind == AccessKind::kWrite;
        below_ = 8;
        e_.alu(Alu::kXor, kScratch0, frame(offsetof(HostFrame, stack_tag)));
        e_.mov(kScratch1, kScratch0);
        e_.shift_right(kScratch1, 7);
        e_.alu_imm(Alu::kAnd, kScratch1, (SoftTlb::kSlots - 1) * sizeof(SoftTlb::Entry), false);
        const HostMem tag{.base = kScratch1,
                          .disp = writes ? int32_t{offsetof(SoftTlb::Entry, write_tag)}
                                         : int32_t{offsetof(SoftTlb::Entry, read_tag)}};
        const HostMem host{.base = kScratch1, .disp = offsetof(SoftTlb::Entry, host)};
        e_.gs();
        e_.alu(Alu::kXor, kScratch0, tag);
        e_.push(kHostRcx);
        e_.load(kHostRcx, {.base = kHostRsp, .disp = 8});
        e_.load_zero16(kHostRcx,
                       before_call(kHostRcx, sizeof(AccessSite), offsetof(AccessSite, size)));
        e_.alu(Alu::kAdd, kHostRcx, kScratch0);
        e_.alu_imm(Alu::kCmp, kHostRcx, kPageSize);
        e_.pop(kHostRcx);
        Label miss;
        e_.jcc(Condition::kNbe, miss);
        e_.gs();
        e_.alu(Alu::kAdd, kScratch0, host);
        if (writes) {
            e_.gs();
            e_.op_push(tag);
            e_.op_pop(frame(offsetof(HostFrame, stack_tag)));
            e_.gs();
            e_.op_push(host);
            e_.op_pop(frame(offsetof(HostFrame, stack_host)));
        }
        e_.ret();
        e_.bind(miss);
        if (slow != nullptr) {
            e_.jmp_to(slow);
        } else {
            e_.mov_imm(kScratch0, 0);
            e_.ret();
        }
        return start;
    }
    void emit_handler(const ThunkTargets& targets) {
        below_ = 8;
        store_guest();
        save_vectors();
        save_x87();
        forget_units();
        e_.mov_imm(kHostRdi, reinterpret_cast<uint64_t>(targets.self));
        e_.load(kHostRsi, {.base = kHostRsp});
        e_.load(kHostRsi, before_call(kHostRsi, sizeof(void*)));
        call(targets.run_handler);
        Label failed, elsewhere;
        e_.jcc(Condition::kZ, failed);
        e_.alu_imm(Alu::kCmp, kHostRax, 1);
        e_.jcc(Condition::kNz, elsewhere);
        load_guest(true);
        e_.ret();
        e_.bind(elsewhere);
        load_guest(true);
        e_.lea(kHostRsp, {.base = kHostRsp, .disp = 8});
        e_.jmp_reg(kHostRax);
        e_.bind(failed);
        e_.mov_imm(kHostRax, 1);  // site 1
        leave();
    }

    Emitter& e_;
    const Offsets& offsets_;
    int32_t below_ = 0;
    const std::byte* mxcsr_ = nullptr;
};

}  // namespace

Thunks emit_thunks(Emitter& emitter, const Offsets& offsets, const ThunkTargets& targets) {
    return ThunkEmitter(emitter, offsets).emit(targets);
}

}  // namespace mynah::translator
