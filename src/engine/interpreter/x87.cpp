// x87 arithmetic: run by the host on the guest's whole x87 state.
//
// What this file follows: SDM 1 chapter 8. CR0.NE = 0, where an external interrupt would report
// floating-point errors, is treated like NE = 1: #MF.

#include <cstring>

#include "engine/interpreter/builder.h"
#include "engine/interpreter/core.h"
#include "engine/interpreter/host_vector.h"
#include "engine/interpreter/vector.h"
#include "engine/interpreter/vector_masked.h"

namespace mynah::interpreter {
namespace {

constexpr uint16_t kErrorSummary = 0x80, kExceptions = 0x3f, kPrecision = 0x20;
constexpr uint16_t kHostControlWord = 0x37f;

// Checks before a waiting x87 instruction.
bool x87_allowed(Core& core) {
    if ((core.s.cr0 & (x86::cr0::kEm | x86::cr0::kTs)) != 0) return core.raised(Exception::nm());
    if ((core.s.x87.fsw & kErrorSummary) != 0) return core.raised(Exception::mf());
    return true;
}

// Runs the stub and puts the guest's addresses where the host recorded its own: instruction,
// operand and opcode of the last instruction [SDM 1 8.1.8, 8.1.9]. Which of them are recorded when
// is the host's choice. op.imm is the form, aux the guest's FOP.
void run_on_host(Core& core, const Op& op, const X87Form& form, void* staged) {
    X87State& x87 = core.s.x87;
    const uint16_t fop_before = x87.fop;
    x87.host_mxcsr = 0x1f80;
    x87.fop = form.host_opcode ^ 0x7ff;
    form.stub(&x87, staged, nullptr, nullptr, &core.s);
    // The stub has emptied the host's stack and left no exception pending.
    if (x87.fcw != kHostControlWord) asm volatile("fninit");

    if (x87.fip == form.instruction_address) x87.fip = core.rip_of(op);
    if (x87.fdp == reinterpret_cast<uintptr_t>(staged)) x87.fdp = core.effective_address(op);
    x87.fop = x87.fop == form.host_opcode ? op.aux : fop_before;
}

Outcome x87_registers(Core& core, const Op& op) {
    if (!x87_allowed(core)) return Outcome::kFault;
    alignas(16) std::byte unused[16];
    run_on_host(core, op, *reinterpret_cast<const X87Form*>(op.imm), unused);
    return Outcome::kNext;
}

Outcome x87_load(Core& core, const Op& op) {
    const auto& form = *reinterpret_cast<const X87Form*>(op.imm);
    if (!x87_allowed(core)) return Outcome::kFault;
    alignas(16) std::byte staged[16];
    uint64_t linear = 0;
    if (!core.operand_linear(op, form.memory_bytes, AccessKind::kRead, linear)) return Outcome::kFault;
    const bool loaded = form.memory_bytes == 8 ? core.load(linear, *reinterpret_cast<uint64_t*>(staged))
                        : form.memory_bytes == 4
                            ? core.load(linear, *reinterpret_cast<uint32_t*>(staged))
                            : core.load_bytes(linear, staged, form.memory_bytes);
    if (!loaded) return Outcome::kFault;
    run_on_host(core, op, form, staged);
    return Outcome::kNext;
}

Outcome x87_store(Core& core, const Op& op) {
    const auto& form = *reinterpret_cast<const X87Form*>(op.imm);
    if (!x87_allowed(core)) return Outcome::kFault;
    alignas(16) std::byte staged[16];
    uint64_t linear = 0;
    const bool writable = core.operand_linear(op, form.memory_bytes, AccessKind::kWrite, linear) &&
                          core.probe_store(linear, form.memory_bytes);
    // An unmasked exception, but for inexact result, keeps the destination [SDM 1 8.5]; then it
    // need not even be there.
    X87State& x87 = core.s.x87;
    const auto stored = [&x87] { return (x87.fsw & ~x87.fcw & kExceptions & ~kPrecision) == 0; };
    if (!writable) {
        const X87State before = x87;
        run_on_host(core, op, form, staged);
        if (!stored()) return Outcome::kNext;
        x87 = before;
        return Outcome::kFault;
    }
    run_on_host(core, op, form, staged);
    if (!stored()) return Outcome::kNext;
    return core.store_bytes(linear, staged, form.memory_bytes) ? Outcome::kNext : Outcome::kFault;
}

bool build_x87(Build& build) {
    const ZydisDecodedInstruction& info = build.instruction.info;
    const auto& modrm = info.raw.modrm;
    X87Code code{.opcode = info.opcode,
                 .modrm = static_cast<uint8_t>(modrm.mod << 6 | modrm.reg << 3 | modrm.rm),
                 .memory = modrm.mod != 3,
                 .flags_in = false,
                 .flags_out = false};
    X87Form form;
    for (unsigned i = 0; i < info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = build.operand(i);
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            form.memory_bytes = static_cast<uint8_t>(operand.size / 8);
            form.store = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        } else if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                   ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_FLAGS) {
            code.flags_in = true;  // also where they are only written: not all of them are
            code.flags_out = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        }
    }
    build.op.aux = static_cast<uint16_t>((code.opcode & 7) << 8 | code.modrm);
    build.op.handler = !code.memory ? x87_registers : form.store ? x87_store : x87_load;
    const X87Form* known = build.shared.vectors.x87_form(code, form);
    build.op.imm = reinterpret_cast<uintptr_t>(known);
    return known != nullptr;
}

#define M(name) ZYDIS_MNEMONIC_##name
constexpr ZydisMnemonic kX87[] = {
    M(F2XM1), M(FABS), M(FADD), M(FADDP), M(FBLD), M(FBSTP), M(FCHS), M(FCMOVB), M(FCMOVBE), M(FCMOVE),
    M(FCMOVNB), M(FCMOVNBE), M(FCMOVNE), M(FCMOVNU), M(FCMOVU), M(FCOM), M(FCOMI), M(FCOMIP), M(FCOMP),
    M(FCOMPP), M(FCOS), M(FDECSTP), M(FDIV), M(FDIVP), M(FDIVR), M(FDIVRP), M(FFREE), M(FFREEP), M(FIADD),
    M(FICOM), M(FICOMP), M(FIDIV), M(FIDIVR), M(FILD), M(FIMUL), M(FINCSTP), M(FIST), M(FISTP), M(FISTTP),
    M(FISUB), M(FISUBR), M(FLD), M(FLD1), M(FLDL2E), M(FLDL2T), M(FLDLG2), M(FLDLN2), M(FLDPI), M(FLDZ),
    M(FMUL), M(FMULP), M(FNOP), M(FPATAN), M(FPREM), M(FPREM1), M(FPTAN), M(FRNDINT), M(FSCALE), M(FSIN),
    M(FSINCOS), M(FSQRT), M(FST), M(FSTP), M(FSTPNCE), M(FSUB), M(FSUBP), M(FSUBR), M(FSUBRP), M(FTST),
    M(FUCOM), M(FUCOMI), M(FUCOMIP), M(FUCOMP), M(FUCOMPP), M(FXAM), M(FXCH), M(FXTRACT), M(FYL2X),
    M(FYL2XP1)};
#undef M

}  // namespace

void add_x87(BuilderTable& table) {
    for (const ZydisMnemonic mnemonic : kX87) table[mnemonic] = build_x87;
}

}  // namespace mynah::interpreter
