#include "silicon/block_instructions.h"

#include <cstring>

#include "cpu/cpu_state.h"
#include "silicon/compare.h"
#include "silicon/encode.h"
#include "spec/x86/control_registers.h"

namespace mynah::silicon {
namespace {

namespace rflags = x86::rflags;

int gpr_of(ZydisRegister reg) {
    // AH to BH are parts of registers that have another number.
    const ZydisRegister whole =
        ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
    return ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64 ? ZydisRegisterGetId(whole) : -1;
}
uint32_t gpr_bit(ZydisRegister reg) {
    const int number = gpr_of(reg);
    return number < 0 ? 0 : 1u << number;
}

bool is_bit_test(ZydisMnemonic mnemonic) {
    return mnemonic == ZYDIS_MNEMONIC_BT || mnemonic == ZYDIS_MNEMONIC_BTS ||
           mnemonic == ZYDIS_MNEMONIC_BTR || mnemonic == ZYDIS_MNEMONIC_BTC;
}

bool is_memory(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type != ZYDIS_MEMOP_TYPE_AGEN;
}

}  // namespace

Unit BlockInstructions::make() {
    if (random_.one_in(40)) return flags_from_stack();
    if (plan_.walking >= 0 && random_.one_in(8)) return walk();
    for (unsigned tries = 0; tries < 50; ++tries) {
        Unit unit;
        if (attempt(unit)) return unit;
    }
    return {code_.raw({0x90})};
}

// Loops over such an access come to a page's end in one of their rounds.
Unit BlockInstructions::walk() {
    const auto distance = static_cast<int8_t>(random_.below(80) - 16);
    return {code_.add_address(static_cast<unsigned>(plan_.walking), distance)};
}

Unit BlockInstructions::flags_from_stack() {
    uint64_t flags = (random_.next() & (rflags::kArithmetic | rflags::kDf | rflags::kId)) | 2;
    if (random_.one_in(20)) flags |= rflags::kTf;  // traps behind the next instruction
    if (random_.one_in(20)) flags |= rflags::kAc | rflags::kNt;
    return {code_.push_constant(static_cast<uint32_t>(flags)), code_.raw({0x9d})};
}

bool BlockInstructions::attempt(Unit& unit) {
    const Form& form = choice_.pick(block_.mode, random_);
    test_.memory.clear();
    test_.code_offset = 0x800;
    if (!encode(form, random_, test_) || !aimed()) return false;
    const uint32_t written = registers_written();
    if (plan_.counter >= 0 && (written >> plan_.counter & 1) != 0) return false;
    uint32_t broken = written & plan_.surroundings.pinned;
    if (moves_stack()) broken &= ~(1u << kRsp);
    // Not too often, because it is not what programs look like.
    if (broken != 0 && !random_.one_in(4)) return false;
    if (!reload(unit) || copies_between_aliases()) return false;
    if (looks_at_loose_flags()) define_flags(unit);
    instruction(unit);
    for (unsigned reg = 0; reg < 16; ++reg) {
        if ((broken >> reg & 1) != 0) unit.push_back(code_.load(reg, block_.before.gpr[reg]));
    }
    const uint64_t undefined = undefined_flags(test_.instruction) & rflags::kArithmetic;
    block_.undefined_between |= undefined;
    if ((undefined & ~plan_.loose_flags) != 0) {
        define_flags(unit);
    } else {
        block_.undefined_flags |= undefined;
    }
    block_.memory.insert(block_.memory.end(), test_.memory.begin(), test_.memory.end());
    note_pages();
    return true;
}

// Chooses registers and addresses; false if that cannot be without changing a pinned register.
bool BlockInstructions::aimed() {
    test_.before = block_.before;
    for (unsigned reg = 0; reg < 16; ++reg) {
        if ((plan_.surroundings.pinned >> reg & 1) == 0) test_.before.gpr[reg] = random_.integer();
        if (block_.mode == CodeSize::k32) test_.before.gpr[reg] &= 0xffffffff;
    }
    plan_.surroundings.alias = random_.below(kAliases);
    if (!aim(random_, test_, plan_.surroundings)) return false;
    for (unsigned reg = 0; reg < 16; ++reg) {
        if ((plan_.surroundings.pinned >> reg & 1) != 0 &&
            test_.before.gpr[reg] != block_.before.gpr[reg])
            return false;
    }
    return true;
}

uint32_t BlockInstructions::registers_written() const {
    uint32_t written = 0;
    for (unsigned i = 0; i < test_.instruction.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = test_.instruction.operands[i];
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
            (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0)
            written |= gpr_bit(operand.reg.value);
    }
    switch (test_.instruction.mnemonic()) {
        case ZYDIS_MNEMONIC_LEAVE:
        case ZYDIS_MNEMONIC_ENTER: written |= 1u << kRbp | 1u << kRsp; break;
        case ZYDIS_MNEMONIC_POPA:
        case ZYDIS_MNEMONIC_POPAD: written |= 0xff; break;
        default: break;
    }
    return written;
}

// By a few bytes, as a stack is.
bool BlockInstructions::moves_stack() const {
    const auto category = test_.instruction.info.meta.category;
    if (category != ZYDIS_CATEGORY_PUSH && category != ZYDIS_CATEGORY_POP) return false;
    const ZydisDecodedOperand& first = test_.instruction.operands[0];
    const bool pops_into_it = category == ZYDIS_CATEGORY_POP &&
                              first.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                              gpr_of(first.reg.value) == kRsp;
    return !pops_into_it;
}

// What decides which memory an instruction reaches and how much of it; the values of other
// registers may be what the block has computed.
uint32_t BlockInstructions::registers_needed() {
    const Instruction& instruction = test_.instruction;
    uint32_t needed = 0;
    for (unsigned i = 0; i < instruction.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = instruction.operands[i];
        if (!is_memory(operand)) continue;
        needed |= gpr_bit(operand.mem.base) | gpr_bit(operand.mem.index);
        const ZydisDecodedOperand& offset = instruction.operands[1];
        if (i == 0 && is_bit_test(instruction.mnemonic()) &&
            offset.type == ZYDIS_OPERAND_TYPE_REGISTER)
            needed |= gpr_bit(offset.reg.value);
    }
    if (instruction.has_prefix(ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                               ZYDIS_ATTRIB_HAS_REPNE))
        needed |= 1u << kRcx;
    switch (instruction.info.meta.category) {
        case ZYDIS_CATEGORY_XSAVE:
        case ZYDIS_CATEGORY_XSAVEOPT: needed |= 1u << kRax | 1u << kRdx; break;
        default: break;
    }
    switch (instruction.mnemonic()) {
        case ZYDIS_MNEMONIC_ENTER:
        case ZYDIS_MNEMONIC_LEAVE: needed |= 1u << kRbp; break;
        case ZYDIS_MNEMONIC_DIV:
        case ZYDIS_MNEMONIC_IDIV:
            if (!random_.one_in(4)) needed |= 1u << kRax | 1u << kRdx;
            break;
        default: break;
    }
    if (random_.one_in(6)) needed |= 1u << random_.below(block_.mode == CodeSize::k64 ? 16 : 8);
    return needed & ~plan_.surroundings.pinned;
}

// Fast string operations take operands for separate whose addresses are, in no architectural way.
bool BlockInstructions::copies_between_aliases() const {
    if (test_.instruction.info.meta.category != ZYDIS_CATEGORY_STRINGOP) return false;
    const auto alias = [](uint64_t at) { return (at - kDataAddress + 0x1000) / kAliasStride; };
    unsigned memory = 0;
    for (unsigned i = 0; i < test_.instruction.info.operand_count; ++i)
        memory += is_memory(test_.instruction.operands[i]);
    return memory > 1 && alias(test_.before.gpr[kRsi]) != alias(test_.before.gpr[kRdi]);
}

bool BlockInstructions::reload(Unit& unit) {
    if (test_.instruction.mnemonic() == ZYDIS_MNEMONIC_LEAVE &&
        (plan_.surroundings.pinned >> kRbp & 1) == 0)
        test_.before.gpr[kRbp] = block_.before.gpr[kRsp] + 8 * random_.below(16);
    const uint32_t needed = registers_needed();
    for (unsigned reg = 0; reg < 16; ++reg) {
        if ((needed >> reg & 1) != 0) unit.push_back(code_.load(reg, test_.before.gpr[reg]));
    }
    reload_indices(unit);
    return plan_.constants * kConstantBytes < kScratchBytes - (kConstants - kScratchAddress);
}

void BlockInstructions::reload_indices(Unit& unit) {
    for (unsigned i = 0; i < test_.instruction.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = test_.instruction.operands[i];
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
        const ZydisRegisterClass type = ZydisRegisterGetClass(operand.mem.index);
        if (type != ZYDIS_REGCLASS_XMM && type != ZYDIS_REGCLASS_YMM) continue;
        const auto number = static_cast<unsigned>(ZydisRegisterGetId(operand.mem.index));
        const uint64_t at = kConstants + kConstantBytes * plan_.constants;
        if (at + kConstantBytes > kScratchAddress + kScratchBytes) continue;
        ++plan_.constants;
        std::byte* to = block_.scratch.data() + (at - kScratchAddress);
        std::memcpy(to, test_.before.xsave.data() + kXmmOffset + 16 * number, 16);
        std::memcpy(to + 16, test_.before.xsave.data() + kAvxOffset + 16 * number, 16);
        unit.push_back(code_.load_vector(number, at));
    }
}

void BlockInstructions::instruction(Unit& unit) {
    Step step;
    const auto& info = test_.instruction.info;
    step.length = info.length;
    std::memcpy(step.code.data(), test_.code.data(), step.length);
    for (unsigned i = 0; i < info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = test_.instruction.operands[i];
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY ||
            (operand.mem.base != ZYDIS_REGISTER_RIP && operand.mem.base != ZYDIS_REGISTER_EIP))
            continue;
        step.fix = Step::Fix::kRipRelative;
        step.field = info.raw.disp.offset;
        step.linear = test_.address() + info.length + static_cast<uint64_t>(operand.mem.disp.value);
    }
    unit.push_back(step);
}

// All six, by comparing whatever registers hold.
void BlockInstructions::define_flags(Unit& unit) {
    const uint64_t registers = block_.mode == CodeSize::k64 ? 16 : 8;
    unit.push_back(code_.compare(static_cast<unsigned>(random_.below(registers)),
                                 static_cast<unsigned>(random_.below(registers))));
}

bool BlockInstructions::looks_at_loose_flags() const {
    if (plan_.loose_flags == 0) return false;
    switch (test_.instruction.mnemonic()) {
        case ZYDIS_MNEMONIC_PUSHF:
        case ZYDIS_MNEMONIC_PUSHFD:
        case ZYDIS_MNEMONIC_PUSHFQ:
        case ZYDIS_MNEMONIC_LAHF: return true;
        default: break;
    }
    const ZydisAccessedFlags* flags = test_.instruction.info.cpu_flags;
    return flags != nullptr && (flags->tested & plan_.loose_flags) != 0;
}

void BlockInstructions::note_pages() {
    const auto& registers = test_.before.gpr;
    for (unsigned i = 0; i < test_.instruction.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = test_.instruction.operands[i];
        if (!is_memory(operand)) continue;
        const ZydisDecodedOperandMem& mem = operand.mem;
        uint64_t at = static_cast<uint64_t>(mem.disp.value);
        const int base = gpr_of(mem.base), index = gpr_of(mem.index);
        if (base >= 0) at += registers[static_cast<unsigned>(base)];
        if (index >= 0) at += registers[static_cast<unsigned>(index)] * mem.scale;
        if (mem.base == ZYDIS_REGISTER_RIP) at += test_.address() + test_.instruction.length();
        if (mem.segment == ZYDIS_REGISTER_FS) at += host_fs_base();
        if (mem.segment == ZYDIS_REGISTER_GS) at += test_.before.gs_base;
        if (test_.instruction.info.address_width == 32) at &= 0xffffffff;
        for (const uint64_t byte : {at, at + operand.size / 8 - 1}) {
            const uint64_t offset = byte - kDataAddress;
            if (offset < kAliases * kAliasStride && offset % kAliasStride < kMemoryBytes)
                block_.pages.push_back(byte & ~uint64_t{0xfff});
        }
    }
}

}  // namespace mynah::silicon
