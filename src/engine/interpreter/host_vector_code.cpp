#include "engine/interpreter/host_vector_code.h"

#include <cstddef>

#include "cpu/cpu_state.h"

namespace mynah::interpreter {
namespace {

// A stub's arguments [System V ABI 3.2.3]: pointers to the register or memory operands encoded in
// ModRM.reg, ModRM.rm, VEX.vvvv and imm8[7:4], and to the CpuState, for implicit operands.
constexpr uint8_t kRegPointer = 7 /* rdi */, kRmPointer = 6 /* rsi */, kVvvvPointer = 2 /* rdx */,
                  kIs4Pointer = 1 /* rcx */;
// Host registers that stand for the guest's, whatever their numbers. XMM0 stands for itself, being
// an implicit operand. A general register operand is RAX: there never are two.
constexpr uint8_t kRegNumber = 1, kRmNumber = 2, kVvvvNumber = 3, kIs4Number = 4, kGprNumber = 0;

uint8_t modrm(unsigned mod, unsigned reg, unsigned rm) {
    return static_cast<uint8_t>(mod << 6 | (reg & 7) << 3 | (rm & 7));
}

uint32_t gpr_offset(unsigned number) {
    return static_cast<uint32_t>(offsetof(CpuState, gpr) + number * 8);
}
constexpr uint32_t kXmm0Offset = offsetof(CpuState, vector);
constexpr uint32_t kFlagsOffset = offsetof(CpuState, flags) + offsetof(Flags, arithmetic);

class VectorStub {
 public:
    VectorStub(const HostInstruction& instruction, CodeBuffer& out) : i_(instruction), out_(out) {}

    void emit() {
        load(i_.reg, kRegNumber, kRegPointer);
        load(i_.vvvv, kVvvvNumber, kVvvvPointer);
        load(i_.is4, kIs4Number, kIs4Pointer);
        load(i_.rm, kRmNumber, kRmPointer);
        load_implicit();
        instruction();
        store_implicit();
        store(i_.rm, kRmNumber, kRmPointer);
        store(i_.reg, kRegNumber, kRegPointer);
        store(i_.vvvv, kVvvvNumber, kVvvvPointer);
        if (i_.vex) out_.bytes(0xc5, 0xf8, 0x77);     // vzeroupper: our own code uses legacy SSE
        if (i_.uses_mmx()) out_.bytes(0x0f, 0x77);    // emms: the ABI wants the x87 stack empty
        out_.bytes(0x31, 0xc0, 0xc3);                 // xor eax, eax; ret
    }

 private:
    using Operand = HostInstruction::Operand;

    // MOV, MOVQ, MOVUPS or VMOVUPS between a host register and [pointer].
    void move(OperandKind kind, uint8_t number, uint8_t pointer, bool to_memory) {
        const uint8_t address = modrm(0, kind == OperandKind::kGpr ? kGprNumber : number, pointer);
        switch (kind) {
            case OperandKind::kGpr: out_.bytes(0x48, to_memory ? 0x89 : 0x8b, address); break;
            case OperandKind::kMmx: out_.bytes(0x0f, to_memory ? 0x7f : 0x6f, address); break;
            case OperandKind::kXmm:
                if (i_.vex && to_memory) {
                    // A VEX instruction zeroes the destination above bit 127.
                    out_.bytes(0xc5, 0xfc, 0x11, address);
                } else if (i_.vex) {
                    out_.bytes(0xc5, 0xf8, 0x10, address);
                } else {
                    out_.bytes(0x0f, to_memory ? 0x11 : 0x10, address);
                }
                break;
            case OperandKind::kYmm: out_.bytes(0xc5, 0xfc, to_memory ? 0x11 : 0x10, address); break;
            case OperandKind::kNone:
            case OperandKind::kMemory: break;
        }
    }
    void load(const Operand& operand, uint8_t number, uint8_t pointer) {
        // A legacy instruction may keep part of its destination.
        if (operand.read || !i_.vex) move(operand.kind, number, pointer, false);
    }
    void store(const Operand& operand, uint8_t number, uint8_t pointer) {
        if (operand.written) move(operand.kind, number, pointer, true);
    }

    void load_implicit() {
        if (i_.xmm0.read) xmm0(false);
        if (i_.rax.read) {
            out_.bytes(0x49, 0x8b, 0x80);  // mov rax, [r8 + ...]
            out_.dword(gpr_offset(kRax));
        }
        if (i_.rdx.read) {
            out_.bytes(0x49, 0x8b, 0x90);  // mov rdx, [r8 + ...]
            out_.dword(gpr_offset(kRdx));
        }
    }
    void store_implicit() {
        if (i_.flags_written) {
            out_.bytes(0x9f, 0x0f, 0x90, 0xc0);  // lahf; seto al
            out_.bytes(0x66, 0x41, 0x89, 0x80);  // mov [r8 + ...], ax
            out_.dword(kFlagsOffset);
        }
        if (i_.rcx.written) {
            out_.bytes(0x49, 0x89, 0x88);  // mov [r8 + ...], rcx
            out_.dword(gpr_offset(kRcx));
        }
        if (i_.xmm0.written) xmm0(true);
    }
    void xmm0(bool to_memory) {
        const uint8_t opcode = to_memory ? 0x11 : 0x10;
        if (i_.vex) {
            out_.bytes(0xc4, 0xc1, 0x7c, opcode, 0x80);  // vmovups ymm0, [r8 + ...]
        } else {
            out_.bytes(0x41, 0x0f, opcode, 0x80);  // movups xmm0, [r8 + ...]
        }
        out_.dword(kXmm0Offset);
    }

    static uint8_t encoded(const Operand& operand, uint8_t number) {
        return operand.kind == OperandKind::kGpr ? kGprNumber : number;
    }

    void instruction() {
        if (i_.vex) {
            const unsigned pp = i_.prefix == 0x66   ? 1
                                : i_.prefix == 0xf3 ? 2
                                : i_.prefix == 0xf2 ? 3
                                                    : 0;
            const unsigned vvvv = i_.vvvv.kind == OperandKind::kNone ? 0 : kVvvvNumber;
            out_.bytes(
                0xc4, 0xe0 | i_.map,
                (i_.wide ? 0x80u : 0u) | (~vvvv & 0xf) << 3 | (i_.long_vector ? 4u : 0u) | pp);
        } else {
            if (i_.prefix != 0) out_.byte(i_.prefix);
            if (i_.wide) out_.byte(0x48);
            out_.byte(0x0f);
            if (i_.map == 2) out_.byte(0x38);
            if (i_.map == 3) out_.byte(0x3a);
        }
        const unsigned reg =
            i_.reg.kind == OperandKind::kNone ? i_.extension : encoded(i_.reg, kRegNumber);
        const bool memory = i_.rm.kind == OperandKind::kMemory;
        out_.bytes(i_.opcode,
                   memory ? modrm(0, reg, kRmPointer) : modrm(3, reg, encoded(i_.rm, kRmNumber)));
        if (i_.is4.kind != OperandKind::kNone) {
            out_.byte(kIs4Number << 4);
        } else if (i_.has_immediate) {
            out_.byte(i_.immediate);
        }
    }

    const HostInstruction& i_;
    CodeBuffer& out_;
};

}  // namespace

void emit_vector_stub(const HostInstruction& instruction, CodeBuffer& out) {
    VectorStub(instruction, out).emit();
}

void emit_fault_exit(CodeBuffer& out) {
    out.bytes(0xdb, 0xe3);  // fninit
    if (__builtin_cpu_supports("avx")) out.bytes(0xc5, 0xf8, 0x77);  // vzeroupper
    out.bytes(0xb8, 1, 0, 0, 0, 0xc3);  // mov eax, 1; ret
}

}  // namespace mynah::interpreter
