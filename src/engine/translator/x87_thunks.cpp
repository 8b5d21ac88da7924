#include "engine/translator/x87_thunks.h"

#include "cpu/cpu_state.h"

namespace mynah::translator {
namespace {

// The XSAVE area in standard form [SDM 1 13.4].
constexpr int32_t kFcw = 0, kFsw = 2, kTags = 4, kRegisters = 32, kStateBv = 512;
constexpr int32_t kRegisterBytes = sizeof(X87State::Register);
static_assert(kRegisterBytes == 16);

class X87Mover {
  public:
    X87Mover(Emitter& e, int32_t x87, int32_t below) : e_(e), x87_(x87), below_(below) {}

    HostMem image(int32_t offset) const {
        return {.base = kFrameReg,
                .disp = int32_t{offsetof(HostFrame, x87_image)} + offset + below_};
    }
    HostMem state(size_t offset) const {
        return {.base = kFrameReg, .disp = x87_ + static_cast<int32_t>(offset) + below_};
    }
    HostMem live() const {
        return {.base = kFrameReg, .disp = int32_t{offsetof(HostFrame, x87_live)} + below_};
    }
    void skip_unless_live(Label& none) {
        e_.cmp8_mem_imm(live(), 0);
        e_.jcc(Condition::kZ, none);
    }
    // XSAVE64 or XRSTOR64, of the x87 part alone.
    void transfer(unsigned extension) {
        e_.mov_imm(kHostRax, 1);
        e_.mov_imm(kHostRdx, 0);
        e_.rex_mem(true, 0, image(0));
        e_.byte(0x0f);
        e_.byte(0xae);
        e_.modrm_mem(extension, image(0));
    }
    void xsave() { transfer(4); }
    void xrstor() { transfer(5); }

    // Registers are numbered from the top of the stack in the image, physically in CpuState.
    // `place`, which holds FSW at first, counts through the latter's.
    void for_each_register(HostReg place, auto&& move) {
        constexpr int32_t kTopShift = 11, kPlaces = 8 * kRegisterBytes;
        e_.shift_right(place, kTopShift - 4, false);  // times 16
        for (int32_t i = 0; i < 8; ++i) {
            e_.alu_imm(Alu::kAnd, place, kPlaces - kRegisterBytes, false);
            HostMem physical = state(offsetof(X87State, physical));
            physical.index = place;
            HostMem exponent = physical;
            exponent.disp += int32_t{offsetof(X87State::Register, sign_exponent)};
            const int32_t at = kRegisters + kRegisterBytes * i;
            move(physical, image(at));
            move(exponent, image(at + 8));
            if (i < 7) e_.alu_imm(Alu::kAdd, place, kRegisterBytes, false);
        }
    }

  private:
    Emitter& e_;
    const int32_t x87_, below_;
};

}  // namespace

void emit_load_x87(Emitter& e, const Offsets& offsets, int32_t below) {
    // Emitted code has an address in kScratch1.
    e.push(kHostRdx);
    e.push(kHostRcx);
    X87Mover mover(e, offsets.x87, below + 16);
    e.load_zero16(kScratch0, mover.state(offsetof(X87State, fcw)));
    e.store16(mover.image(kFcw), kScratch0);
    e.load_zero16(kHostRcx, mover.state(offsetof(X87State, fsw)));
    e.store16(mover.image(kFsw), kHostRcx);
    e.load_zero8(kScratch0, mover.state(offsetof(X87State, tags)));
    e.store16(mover.image(kTags), kScratch0);
    mover.for_each_register(kHostRcx, [&](const HostMem& physical, const HostMem& image) {
        e.load(kScratch0, physical);
        e.store(image, kScratch0);
    });
    e.store_imm32(mover.image(kStateBv), 1);
    mover.xrstor();
    e.store_imm8(mover.live(), 1);
    e.pop(kHostRcx);
    e.pop(kHostRdx);
}

void emit_save_x87(Emitter& e, const Offsets& offsets, int32_t below) {
    X87Mover mover(e, offsets.x87, below);
    Label none, usual;
    mover.skip_unless_live(none);
    mover.xsave();
    e.byte(0x0f);  // EMMS
    e.byte(0x77);
    e.load_zero16(kHostRax, mover.image(kFcw));
    e.store16(mover.state(offsetof(X87State, fcw)), kHostRax);
    e.alu_imm(Alu::kCmp, kHostRax, HostFrame::kHostFcw, false);
    e.jcc(Condition::kZ, usual);
    const HostMem host_fcw{.base = kFrameReg,
                           .disp = int32_t{offsetof(HostFrame, host_fcw)} + below};
    e.byte(0xd9);  // FLDCW
    e.modrm_mem(5, host_fcw);
    e.bind(usual);
    e.load_zero16(kHostRcx, mover.image(kFsw));
    e.store16(mover.state(offsetof(X87State, fsw)), kHostRcx);
    e.load_zero16(kHostRax, mover.image(kTags));
    e.store8(mover.state(offsetof(X87State, tags)), kHostRax);
    bool exponent = false;
    mover.for_each_register(kHostRcx, [&](const HostMem& physical, const HostMem& image) {
        if (exponent) {
            e.load_zero16(kHostRax, image);
            e.store16(physical, kHostRax);
        } else {
            e.load(kHostRax, image);
            e.store(physical, kHostRax);
        }
        exponent = !exponent;
    });
    e.bind(none);
}

void emit_reload_x87(Emitter& e, int32_t below) {
    X87Mover mover(e, 0, below);
    Label none;
    mover.skip_unless_live(none);
    e.mov(kScratch1, kHostRax);
    mover.xrstor();
    e.mov(kHostRax, kScratch1);
    e.bind(none);
}

}  // namespace mynah::translator
