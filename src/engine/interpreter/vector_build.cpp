// From a decoded vector instruction to an op: what the host shall run, and on which operands.

#include "engine/interpreter/builder.h"
#include "engine/interpreter/core.h"
#include "engine/interpreter/host_vector.h"
#include "engine/interpreter/vector.h"
#include "engine/interpreter/vector_handlers.h"
#include "engine/interpreter/vector_masked.h"
#include "engine/interpreter/vector_mnemonics.h"
#include "engine/interpreter/x87.h"

namespace mynah::interpreter {

uint8_t vector_alignment(const ZydisDecodedInstruction& info, unsigned bytes) {
    switch (info.mnemonic) {
        case ZYDIS_MNEMONIC_MOVUPS:
        case ZYDIS_MNEMONIC_MOVUPD:
        case ZYDIS_MNEMONIC_MOVDQU:
        case ZYDIS_MNEMONIC_LDDQU:
        case ZYDIS_MNEMONIC_PCMPESTRI:
        case ZYDIS_MNEMONIC_PCMPESTRM:
        case ZYDIS_MNEMONIC_PCMPISTRI:
        case ZYDIS_MNEMONIC_PCMPISTRM: return 1;
        case ZYDIS_MNEMONIC_VMOVAPS:
        case ZYDIS_MNEMONIC_VMOVAPD:
        case ZYDIS_MNEMONIC_VMOVDQA:
        case ZYDIS_MNEMONIC_VMOVNTPS:
        case ZYDIS_MNEMONIC_VMOVNTPD:
        case ZYDIS_MNEMONIC_VMOVNTDQ:
        case ZYDIS_MNEMONIC_VMOVNTDQA: return static_cast<uint8_t>(bytes);
        default: return info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && bytes == 16 ? 16 : 1;
    }
}

namespace {

OperandKind kind_of(const ZydisDecodedOperand& operand) {
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) return OperandKind::kMemory;
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) return OperandKind::kNone;
    switch (ZydisRegisterGetClass(operand.reg.value)) {
        case ZYDIS_REGCLASS_GPR32:
        case ZYDIS_REGCLASS_GPR64: return OperandKind::kGpr;
        case ZYDIS_REGCLASS_MMX: return OperandKind::kMmx;
        case ZYDIS_REGCLASS_XMM: return OperandKind::kXmm;
        case ZYDIS_REGCLASS_YMM: return OperandKind::kYmm;
        default: return OperandKind::kNone;
    }
}

uint8_t selecting_prefix(const ZydisDecodedInstruction& info) {
    for (unsigned i = 0; i < info.raw.prefix_count; ++i) {
        if (info.raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY)
            return info.raw.prefixes[i].value;
    }
    return 0;
}

// Opcode fields of the instruction, as the host gets them.
bool describe_opcode(const Instruction& instruction, HostInstruction& host) {
    const ZydisDecodedInstruction& info = instruction.info;
    host.opcode = info.opcode;
    host.extension = info.raw.modrm.reg;
    if (info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
        static constexpr uint8_t kPrefixes[] = {0, 0x66, 0xf3, 0xf2};
        host.vex = true;
        host.prefix = kPrefixes[info.raw.vex.pp & 3];
        host.map = info.raw.vex.m_mmmm;
        host.wide = info.raw.vex.W != 0;
        host.long_vector = info.raw.vex.L != 0;
    } else if (info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
        host.prefix = selecting_prefix(info);
        host.wide = info.raw.rex.W != 0;
        switch (info.opcode_map) {
            case ZYDIS_OPCODE_MAP_0F: host.map = 1; break;
            case ZYDIS_OPCODE_MAP_0F38: host.map = 2; break;
            case ZYDIS_OPCODE_MAP_0F3A: host.map = 3; break;
            default: return false;
        }
    } else {
        return false;
    }
    if (info.raw.imm[0].size == 8) {
        host.has_immediate = true;
        host.immediate = static_cast<uint8_t>(info.raw.imm[0].value.u);
    }
    return true;
}

// One operand: its place in the op and its role in the host's instruction.
bool describe_operand(const ZydisDecodedOperand& operand, Op& op, HostInstruction& host) {
    if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) return true;
    const HostInstruction::Operand role{
        .kind = kind_of(operand),
        .read = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0,
        .written = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0};
    const bool is_register = operand.type == ZYDIS_OPERAND_TYPE_REGISTER;
    const uint8_t place = is_register ? operand_place(operand.reg.value) : uint8_t{0};
    switch (operand.encoding) {
        case ZYDIS_OPERAND_ENCODING_MODRM_REG: host.reg = role; op.dst = place; return true;
        case ZYDIS_OPERAND_ENCODING_MODRM_RM: host.rm = role; op.src = place; return true;
        case ZYDIS_OPERAND_ENCODING_NDSNDD: host.vvvv = role; op.aux |= place; return true;
        case ZYDIS_OPERAND_ENCODING_IS4:
            host.is4 = role;
            op.aux = static_cast<uint16_t>(op.aux | place << 8);
            return true;
        default: break;
    }
    if (!is_register) return false;
    switch (operand.reg.value) {
        case ZYDIS_REGISTER_XMM0: host.xmm0 = role; return true;
        case ZYDIS_REGISTER_EAX:
        case ZYDIS_REGISTER_RAX: host.rax = role; return true;
        case ZYDIS_REGISTER_EDX:
        case ZYDIS_REGISTER_RDX: host.rdx = role; return true;
        case ZYDIS_REGISTER_ECX:
        case ZYDIS_REGISTER_RCX: host.rcx = role; return true;
        case ZYDIS_REGISTER_FLAGS:
        case ZYDIS_REGISTER_EFLAGS:
        case ZYDIS_REGISTER_RFLAGS: host.flags_written = true; return true;
        case ZYDIS_REGISTER_MXCSR: return true;
        default: return false;
    }
}

// Whether the instruction looks at MXCSR [SDM 2A 2.4 tables 2-17 ff.; conversions that involve MMX
// registers have no class].
bool is_floating(const ZydisDecodedInstruction& info) {
    switch (info.meta.exception_class) {
        case ZYDIS_EXCEPTION_CLASS_SSE2:
        case ZYDIS_EXCEPTION_CLASS_SSE3:
        case ZYDIS_EXCEPTION_CLASS_AVX2:
        case ZYDIS_EXCEPTION_CLASS_AVX3:
        case ZYDIS_EXCEPTION_CLASS_AVX11: return true;
        default: return info.meta.category == ZYDIS_CATEGORY_CONVERT;
    }
}

// Instructions whose W selects the size of an integer operand: outside 64-bit mode it is ignored.
bool selects_integer_size(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
        case ZYDIS_MNEMONIC_VCVTSI2SD:
        case ZYDIS_MNEMONIC_VCVTSI2SS:
        case ZYDIS_MNEMONIC_VCVTSD2SI:
        case ZYDIS_MNEMONIC_VCVTSS2SI:
        case ZYDIS_MNEMONIC_VCVTTSD2SI:
        case ZYDIS_MNEMONIC_VCVTTSS2SI:
        case ZYDIS_MNEMONIC_VPCMPESTRI:
        case ZYDIS_MNEMONIC_VPCMPESTRM:
        case ZYDIS_MNEMONIC_VPINSRD:
        case ZYDIS_MNEMONIC_VPEXTRD: return true;
        default: return false;
    }
}

bool build_vector(Build& build) {
    const ZydisDecodedInstruction& info = build.instruction.info;
    HostInstruction host;
    if (!describe_opcode(build.instruction, host)) return false;
    if (host.vex && !build.mode.protected_mode) {
        build.op.handler = raise_undefined;
        return true;
    }
    if (build_vector_move(build)) return true;

    Op& op = build.op;
    op.aux = 0;
    VectorForm form;
    for (unsigned i = 0; i < info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = build.operand(i);
        if (!describe_operand(operand, op, host)) return false;
        const OperandKind kind = kind_of(operand);
        if (kind == OperandKind::kMmx) form.mmx_gate = true;
        if (kind == OperandKind::kXmm) form.sse_gate = true;
        if (kind == OperandKind::kMemory)
            form.memory_bytes = static_cast<uint8_t>(operand.size / 8);
    }
    if (build.mode.code_size != CodeSize::k64 && selects_integer_size(info.mnemonic))
        host.wide = false;
    if (host.is4.kind != OperandKind::kNone) host.has_immediate = false;
    if (host.reg.kind != OperandKind::kNone) host.extension = 0;
    form.alignment = vector_alignment(info, form.memory_bytes);
    if (host.reg.kind == OperandKind::kMmx && host.reg.written) form.mmx_written = 1;
    if (host.rm.kind == OperandKind::kMmx && host.rm.written) form.mmx_written = 2;

    MemoryUse use = MemoryUse::kNone;
    if (host.rm.kind == OperandKind::kMemory)
        use = host.rm.written ? MemoryUse::kStore : MemoryUse::kLoad;
    const Gate gate = host.vex ? Gate::kVex : form.mmx_gate ? Gate::kMmx : Gate::kSse;
    op.handler = info.meta.isa_set == ZYDIS_ISA_SET_F16C
                     ? half_precision_handler(use, form.memory_bytes)
                     : vector_handler(gate, use, form.memory_bytes, is_floating(info));
    const VectorForm* known = build.shared.vectors.form(host, form);
    op.imm = reinterpret_cast<uintptr_t>(known);
    return known != nullptr;
}

// Two names mean a string instruction as well; what the table had for them before.
BuildFunction string_movsd = nullptr, string_cmpsd = nullptr;

bool is_string_form(const Build& build) {
    return build.instruction.info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;
}
bool build_movsd(Build& build) {
    if (!is_string_form(build)) return build_vector(build);
    return string_movsd != nullptr && string_movsd(build);
}
bool build_cmpsd(Build& build) {
    if (!is_string_form(build)) return build_vector(build);
    return string_cmpsd != nullptr && string_cmpsd(build);
}

}  // namespace

uint8_t operand_place(ZydisRegister reg) {
    const auto id = static_cast<unsigned>(ZydisRegisterGetId(reg));
    size_t offset = 0;
    switch (ZydisRegisterGetClass(reg)) {
        case ZYDIS_REGCLASS_GPR32:
        case ZYDIS_REGCLASS_GPR64: offset = offsetof(CpuState, gpr) + 8 * id; break;
        case ZYDIS_REGCLASS_MMX:
            offset = offsetof(CpuState, x87) + offsetof(X87State, physical) +
                     sizeof(X87State::Register) * id;
            break;
        case ZYDIS_REGCLASS_XMM:
        case ZYDIS_REGCLASS_YMM:
            offset = offsetof(CpuState, vector) + sizeof(VectorRegister) * id;
            break;
        default: break;
    }
    return static_cast<uint8_t>(offset / 8);
}

// Called after add_string: MOVSD and CMPSD are shared with it.
void add_host_vector(BuilderTable& table) {
    string_movsd = table[ZYDIS_MNEMONIC_MOVSD];
    string_cmpsd = table[ZYDIS_MNEMONIC_CMPSD];
    for (const ZydisMnemonic mnemonic : vector_mnemonics()) table[mnemonic] = build_vector;
    table[ZYDIS_MNEMONIC_MOVSD] = build_movsd;
    table[ZYDIS_MNEMONIC_CMPSD] = build_cmpsd;
    add_masked_vector(table);
    add_x87(table);
}

}  // namespace mynah::interpreter
