// x87 arithmetic, run by the host [SDM 1 chapter 8].
//
// The usual case, every exception masked and the operands where they should be, runs on the
// operands alone. Everything else (an empty or full stack, unmasked exceptions, the rarer
// instructions) runs on the whole state. CR0.NE = 0, where an external interrupt would report
// floating-point errors, is treated like NE = 1: #MF.

#include "engine/interpreter/x87.h"

#include <cpuid.h>

#include <bit>
#include <cstring>

#include "base/bits.h"
#include "engine/interpreter/builder.h"
#include "engine/interpreter/core.h"
#include "engine/interpreter/fpu_state.h"
#include "engine/interpreter/host_vector.h"
#include "engine/interpreter/vector.h"
#include "engine/interpreter/x87_image.h"

namespace mynah::interpreter {
namespace {

constexpr uint16_t kPrecision = 0x20, kHostControlWord = 0x37f;

// --- on the whole state
// ---------------------------------------------------------------------------

// What the host stores as pointers to an instruction that raised nothing.
struct StoredPointers {
    uint16_t opcode;
    uint64_t instruction;
};
const StoredPointers& pointers_stored_by_host() {
    static const StoredPointers stored = [] {
        alignas(16) std::byte image[kFxsaveBytes];
        asm volatile("fninit\n\tfld1\n\tfxsave64 (%0)\n\tfninit" : : "r"(image) : "memory");
        return StoredPointers{load_unaligned<uint16_t>(image + 6),
                              load_unaligned<uint64_t>(image + 8)};
    }();
    return stored;
}

// AMD's processors store zeros unless an exception is pending [APM 2 11.5.2].
bool host_stores_pointers() { return pointers_stored_by_host().instruction != 0; }

// The pointers of an instruction of which the host did not say what it recorded.
void note_pointers(Core& core, const Op& op, const X87Form& form) {
    note_x87_instruction(core, op);
    if (form.memory_bytes != 0 && records_every_operand())
        core.s.x87.fdp = core.effective_address(op);
}

// Runs the stub and puts the guest's addresses where the host recorded its own: instruction,
// operand and opcode of the last instruction [SDM 1 8.1.8, 8.1.9]. Which of them are recorded when
// is the host's choice. op.imm is the form, aux the guest's FOP.
void run_on_state(Core& core, const Op& op, const X87Form& form, void* staged) {
    X87State& x87 = core.s.x87;
    const X87State before = x87;
    alignas(64) std::byte image[kFxsaveBytes];
    const std::span<std::byte, kFxsaveX87Bytes> x87_part(image, kFxsaveX87Bytes);
    x87.fop = form.host_opcode ^ 0x7ff;
    x87_to_image(x87, x87_part, true);
    store_unaligned(image + kFxsaveMxcsr, uint64_t{0x1f80});
    form.stub(image, staged, nullptr, nullptr, &core.s);
    x87_from_image(x87, x87_part, true);
    // The stub has emptied the host's stack and left no exception pending.
    if (x87.fcw != kHostControlWord) asm volatile("fninit");

    if (!host_stores_pointers() && (x87.fsw & kX87ErrorSummary) == 0) {
        x87.fip = before.fip;
        x87.fdp = before.fdp;
        x87.fop = before.fop;
        note_pointers(core, op, form);
        return;
    }
    if (x87.fip == form.instruction_address) x87.fip = core.rip_of(op);
    if (x87.fdp == reinterpret_cast<uintptr_t>(staged)) x87.fdp = core.effective_address(op);
    x87.fop = x87.fop == form.host_opcode ? op.aux : before.fop;
}

// Whether the last instruction kept its memory destination: an unmasked exception, but for inexact
// result, does that [SDM 1 8.5].
bool destination_kept(const X87State& x87) {
    return (x87.fsw & ~x87.fcw & kX87Exceptions & ~kPrecision) != 0;
}

// --- on the operands alone
// ------------------------------------------------------------------------

// Whether the short stub will do: then no exception can be unmasked, and the registers that are
// read are full, the one that is written empty.
bool short_stub_fits(const X87State& x87, const X87Short& shape, unsigned other) {
    if (shape.kind == X87Kind::kNone || (x87.fcw & kX87Exceptions) != kX87Exceptions) return false;
    const unsigned full = std::rotr(x87.tags, static_cast<int>(x87.top()));  // bit i: ST(i)
    if (shape.pushes()) return (full & 0x80) == 0;
    const unsigned needed =
        1u | (shape.uses_other() ? 1u << other : 0u) | (shape.pops == 2 ? 2u : 0u);
    return (full & needed) == needed;
}

// `operand`: the staged memory operand, or null for ST(i), where i is op.src.
void run_short(Core& core, const Op& op, const X87Form& form, void* operand) {
    X87State& x87 = core.s.x87;
    const X87Short& shape = form.shape;
    if (x87.fcw != kHostControlWord) asm volatile("fldcw %0" : : "m"(x87.fcw));
    // Flags that stick in the host's FSW may be another guest's, or cleared by this one meanwhile.
    uint16_t before;
    asm volatile("fnstsw %0" : "=a"(before));
    if ((before & kX87Exceptions & ~x87.fsw) != 0) asm volatile("fnclex");

    void* top = shape.pushes() ? &x87.st(7) : &x87.st(0);
    if (operand == nullptr) operand = &x87.st(op.src);
    const uint16_t after = form.short_stub(top, operand, nullptr, nullptr, &core.s);
    if (x87.fcw != kHostControlWord) asm volatile("fldcw %0" : : "m"(kHostControlWord));

    unsigned stack_top = x87.top();
    if (shape.pushes()) {
        stack_top = (stack_top - 1) & 7;
        x87.tags = static_cast<uint8_t>(x87.tags | 1u << stack_top);
    }
    for (unsigned i = 0; i < shape.pops; ++i) {
        x87.tags = static_cast<uint8_t>(x87.tags & ~(1u << stack_top));
        stack_top = (stack_top + 1) & 7;
    }
    const uint16_t taken = shape.conditions | kX87Exceptions;
    x87.fsw = static_cast<uint16_t>((x87.fsw & ~(shape.conditions | 0x3800u)) | (after & taken) |
                                    stack_top << 11);
    x87.fip = core.rip_of(op);
    if (records_every_opcode()) x87.fop = op.aux;
}

// 80-bit operands are aligned like 64-bit ones, as far as #AC goes.
bool operand_aligned(Core& core, uint64_t linear, unsigned size) {
    const bool checked = size == 10 && core.alignment_checked();
    return !checked || (linear & 7) == 0 || core.raised(Exception::ac());
}

// --- handlers
// -------------------------------------------------------------------------------------

Outcome x87_registers(Core& core, const Op& op) {
    const auto& form = *reinterpret_cast<const X87Form*>(op.imm);
    if (!x87_allowed(core)) return Outcome::kFault;
    if (short_stub_fits(core.s.x87, form.shape, op.src)) {
        run_short(core, op, form, nullptr);
    } else {
        alignas(16) std::byte unused[16];
        run_on_state(core, op, form, unused);
    }
    return Outcome::kNext;
}

Outcome x87_load(Core& core, const Op& op) {
    const auto& form = *reinterpret_cast<const X87Form*>(op.imm);
    if (!x87_allowed(core)) return Outcome::kFault;
    alignas(16) std::byte staged[16];
    uint64_t linear = 0;
    if (!core.operand_linear(op, form.memory_bytes, AccessKind::kRead, linear) ||
        !operand_aligned(core, linear, form.memory_bytes)) {
        return Outcome::kFault;
    }
    const bool loaded =
        form.memory_bytes == 8   ? core.load(linear, *reinterpret_cast<uint64_t*>(staged))
        : form.memory_bytes == 4 ? core.load(linear, *reinterpret_cast<uint32_t*>(staged))
                                 : core.load_bytes(linear, staged, form.memory_bytes);
    if (!loaded) return Outcome::kFault;
    if (short_stub_fits(core.s.x87, form.shape, 0)) {
        run_short(core, op, form, staged);
        if (records_every_operand()) core.s.x87.fdp = core.effective_address(op);
    } else {
        run_on_state(core, op, form, staged);
    }
    return Outcome::kNext;
}

bool store_staged(Core& core, uint64_t linear, const std::byte* staged, unsigned size) {
    switch (size) {
        case 4: return core.store(linear, load_unaligned<uint32_t>(staged));
        case 8: return core.store(linear, load_unaligned<uint64_t>(staged));
        default: return core.store_bytes(linear, staged, size);
    }
}

Outcome x87_store(Core& core, const Op& op) {
    const auto& form = *reinterpret_cast<const X87Form*>(op.imm);
    if (!x87_allowed(core)) return Outcome::kFault;
    alignas(16) std::byte staged[16];
    uint64_t linear = 0;
    X87State& x87 = core.s.x87;
    const bool writable = core.operand_linear(op, form.memory_bytes, AccessKind::kWrite, linear) &&
                          operand_aligned(core, linear, form.memory_bytes) &&
                          core.probe_store(linear, form.memory_bytes);
    if (writable && short_stub_fits(x87, form.shape, 0)) {
        run_short(core, op, form, staged);
        if (records_every_operand()) x87.fdp = core.effective_address(op);
        return store_staged(core, linear, staged, form.memory_bytes) ? Outcome::kNext
                                                                     : Outcome::kFault;
    }
    // Memory that nothing is stored to need not be there.
    const X87State before = x87;
    run_on_state(core, op, form, staged);
    if (destination_kept(x87)) return Outcome::kNext;
    if (writable && store_staged(core, linear, staged, form.memory_bytes)) return Outcome::kNext;
    x87 = before;
    return Outcome::kFault;
}

bool build_x87(Build& build) {
    const ZydisDecodedInstruction& info = build.instruction.info;
    const auto& modrm = info.raw.modrm;
    X87Code code{.opcode = info.opcode,
                 .modrm = static_cast<uint8_t>(modrm.mod << 6 | modrm.reg << 3 | modrm.rm),
                 .memory = modrm.mod != 3,
                 .flags_in = false,
                 .flags_out = false};
    uint8_t memory_bytes = 0;
    bool store = false;
    for (unsigned i = 0; i < info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = build.operand(i);
        const bool written = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            memory_bytes = static_cast<uint8_t>(operand.size / 8);
            store = written;
        } else if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                   ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_FLAGS) {
            code.flags_in = true;  // also where they are only written: not all of them are
            code.flags_out = written;
        }
    }
    Op& op = build.op;
    op.aux = static_cast<uint16_t>((code.opcode & 7) << 8 | code.modrm);
    op.src = modrm.rm;
    op.handler = !code.memory ? x87_registers : store ? x87_store : x87_load;
    if (!code.memory) build_x87_move(code, op);
    const X87Form* form = build.shared.vectors.x87_form(code, memory_bytes);
    op.imm = reinterpret_cast<uintptr_t>(form);
    return form != nullptr;
}

#define M(name) ZYDIS_MNEMONIC_##name
constexpr ZydisMnemonic kX87[] = {
    M(F2XM1),   M(FABS),    M(FADD),    M(FADDP),    M(FBLD),    M(FBSTP),   M(FCHS),   M(FCMOVB),
    M(FCMOVBE), M(FCMOVE),  M(FCMOVNB), M(FCMOVNBE), M(FCMOVNE), M(FCMOVNU), M(FCMOVU), M(FCOM),
    M(FCOMI),   M(FCOMIP),  M(FCOMP),   M(FCOMPP),   M(FCOS),    M(FDECSTP), M(FDIV),   M(FDIVP),
    M(FDIVR),   M(FDIVRP),  M(FFREE),   M(FFREEP),   M(FIADD),   M(FICOM),   M(FICOMP), M(FIDIV),
    M(FIDIVR),  M(FILD),    M(FIMUL),   M(FINCSTP),  M(FIST),    M(FISTP),   M(FISTTP), M(FISUB),
    M(FISUBR),  M(FLD),     M(FLD1),    M(FLDL2E),   M(FLDL2T),  M(FLDLG2),  M(FLDLN2), M(FLDPI),
    M(FLDZ),    M(FMUL),    M(FMULP),   M(FNOP),     M(FPATAN),  M(FPREM),   M(FPREM1), M(FPTAN),
    M(FRNDINT), M(FSCALE),  M(FSIN),    M(FSINCOS),  M(FSQRT),   M(FST),     M(FSTP),   M(FSTPNCE),
    M(FSUB),    M(FSUBP),   M(FSUBR),   M(FSUBRP),   M(FTST),    M(FUCOM),   M(FUCOMI), M(FUCOMIP),
    M(FUCOMP),  M(FUCOMPP), M(FXAM),    M(FXCH),     M(FXTRACT), M(FYL2X),   M(FYL2XP1)};
#undef M

}  // namespace

bool records_every_operand() {
    static const bool answer = [] {
        unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
        return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (ebx & bit(6)) == 0;
    }();
    return answer;
}
bool records_every_opcode() { return pointers_stored_by_host().opcode != 0; }

bool x87_allowed(Core& core) {
    if ((core.s.cr0 & (x86::cr0::kEm | x86::cr0::kTs)) != 0) return core.raised(Exception::nm());
    if ((core.s.x87.fsw & kX87ErrorSummary) != 0) return core.raised(Exception::mf());
    return true;
}

void run_x87_on_state(Core& core, const Op& op) {
    alignas(16) std::byte unused[16];
    run_on_state(core, op, *reinterpret_cast<const X87Form*>(op.imm), unused);
}

void note_x87_instruction(Core& core, const Op& op) {
    core.s.x87.fip = core.rip_of(op);
    if (records_every_opcode()) core.s.x87.fop = op.aux;
}

void add_x87(BuilderTable& table) {
    for (const ZydisMnemonic mnemonic : kX87) table[mnemonic] = build_x87;
}

}  // namespace mynah::interpreter
