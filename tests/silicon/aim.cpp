#include "silicon/aim.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "cpu/cpu_state.h"
#include "silicon/generator.h"
#include "silicon/start_state.h"

namespace mynah::silicon {
namespace {

// Below this nothing but the test areas is mapped, on the host as in the guest.
constexpr uint64_t kSafeEnd = 0xfff00000;

int gpr_of(ZydisRegister reg) {
    switch (ZydisRegisterGetClass(reg)) {
        case ZYDIS_REGCLASS_GPR64:
        case ZYDIS_REGCLASS_GPR32:
        case ZYDIS_REGCLASS_GPR16: return ZydisRegisterGetId(reg);
        default: return -1;
    }
}
bool is_vector(ZydisRegister reg) {
    const ZydisRegisterClass type = ZydisRegisterGetClass(reg);
    return type == ZYDIS_REGCLASS_XMM || type == ZYDIS_REGCLASS_YMM;
}

class Aim {
 public:
    Aim(Random& random, Case& out, const Surroundings& surroundings)
        : random_(random),
          out_(out),
          surroundings_(surroundings),
          info_(out.instruction.info),
          gpr_(out.before.gpr) {}

    bool run() {
        if (info_.address_width == 16 && accesses_memory()) return false;
        values();
        for (unsigned i = 0; i < info_.operand_count; ++i) {
            const ZydisDecodedOperand& operand = out_.instruction.operands[i];
            if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
            if (operand.mem.type == ZYDIS_MEMOP_TYPE_AGEN) continue;
            if (!place(operand)) return false;
        }
        branch_target();
        after_placing();
        return safe();
    }

 private:
    ZydisMnemonic name() const { return info_.mnemonic; }
    bool code64() const { return out_.mode == CodeSize::k64; }

    bool accesses_memory() const {
        for (unsigned i = 0; i < info_.operand_count; ++i) {
            const ZydisDecodedOperand& operand = out_.instruction.operands[i];
            if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
                operand.mem.type != ZYDIS_MEMOP_TYPE_AGEN)
                return true;
        }
        return false;
    }

    // --- registers that are not addresses ---------------------------------------------------

    void values() {
        switch (info_.meta.category) {
            case ZYDIS_CATEGORY_XSAVE:
            case ZYDIS_CATEGORY_XSAVEOPT:
                gpr_[kRax] = random_.next() & 7;
                gpr_[kRdx] = 0;
                break;
            default: break;
        }
        if (out_.instruction.has_prefix(ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                        ZYDIS_ATTRIB_HAS_REPNE)) {
            gpr_[kRcx] = random_.below(20);
            if (info_.address_width == 32) gpr_[kRcx] |= random_.next() << 32;
        }
        switch (name()) {
            case ZYDIS_MNEMONIC_LOOP:
            case ZYDIS_MNEMONIC_LOOPE:
            case ZYDIS_MNEMONIC_LOOPNE:
            case ZYDIS_MNEMONIC_JRCXZ:
            case ZYDIS_MNEMONIC_JECXZ:
                if (random_.one_in(2)) gpr_[kRcx] = random_.below(3);
                break;
            case ZYDIS_MNEMONIC_DIV:
            case ZYDIS_MNEMONIC_IDIV:
                if (!random_.one_in(4)) gpr_[kRdx] = random_.below(2) == 0 ? 0 : random_.below(200);
                if (info_.operand_width == 8 && !random_.one_in(4)) gpr_[kRax] &= 0x3ff;
                if (name() == ZYDIS_MNEMONIC_IDIV && random_.one_in(3)) {
                    gpr_[kRdx] = static_cast<uint64_t>(static_cast<int64_t>(gpr_[kRax]) >> 63);
                }
                break;
            case ZYDIS_MNEMONIC_ENTER:
                gpr_[kRbp] = kDataAddress + 0x1000 + 8 * random_.below(256);
                break;
            default: break;
        }
        bit_offset();
        selector_operand();
        gather_indices();
        if (!code64()) for (uint64_t& reg : gpr_) reg &= 0xffffffff;
    }

    // BT and its kin with a register reach far beyond their operand.
    bool bit_test_by_register() const {
        const bool bit_test = name() == ZYDIS_MNEMONIC_BT || name() == ZYDIS_MNEMONIC_BTS ||
                              name() == ZYDIS_MNEMONIC_BTR || name() == ZYDIS_MNEMONIC_BTC;
        return bit_test && info_.raw.modrm.mod != 3 &&
               out_.instruction.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
    }
    void bit_offset() {
        if (!bit_test_by_register()) return;
        const ZydisRegister offset = out_.instruction.operands[1].reg.value;
        gpr_[static_cast<unsigned>(gpr_of(offset))] = random_.below(2048) - 1024;
    }

    // Instructions that load or look at segment selectors: those that Linux has, and some it has
    // not.
    static constexpr uint16_t kSelectors[] = {0,    3,    0x23, 0x2b, 0x33, 0x10,
                                              0x1b, 0x0b, 0x2a, 0x28, 0x07, 0xfff3};
    uint16_t selector() { return kSelectors[random_.below(std::size(kSelectors))]; }
    bool uses_selector() const {
        switch (name()) {
            case ZYDIS_MNEMONIC_LAR:
            case ZYDIS_MNEMONIC_LSL:
            case ZYDIS_MNEMONIC_VERR:
            case ZYDIS_MNEMONIC_VERW: return true;
            case ZYDIS_MNEMONIC_MOV:
                return out_.instruction.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                       ZydisRegisterGetClass(out_.instruction.operands[0].reg.value) ==
                           ZYDIS_REGCLASS_SEGMENT;
            default: return false;
        }
    }
    void selector_operand() {
        if (!uses_selector()) return;
        const ZydisDecodedOperand& source =
            out_.instruction.operands[info_.operand_count_visible > 1 ? 1 : 0];
        if (source.type != ZYDIS_OPERAND_TYPE_REGISTER) return;
        const int number = gpr_of(source.reg.value);
        if (number >= 0)
            gpr_[static_cast<unsigned>(number)] = selector() | (random_.next() & ~0xffffull);
    }

    std::byte* vector_part(unsigned number, bool high) {
        return out_.before.xsave.data() + (high ? kAvxOffset : kXmmOffset) + 16 * number;
    }
    // Small indices.
    void gather_indices() {
        for (unsigned i = 0; i < info_.operand_count; ++i) {
            const ZydisDecodedOperand& operand = out_.instruction.operands[i];
            if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY || !is_vector(operand.mem.index))
                continue;
            const auto number = static_cast<unsigned>(ZydisRegisterGetId(operand.mem.index));
            const bool quads =
                name() == ZYDIS_MNEMONIC_VGATHERQPD || name() == ZYDIS_MNEMONIC_VGATHERQPS ||
                name() == ZYDIS_MNEMONIC_VPGATHERQD || name() == ZYDIS_MNEMONIC_VPGATHERQQ;
            for (unsigned e = 0; e < 8; ++e) {
                const uint64_t index = random_.below(256) - 128;
                std::byte* part = vector_part(number, e >= 4) + (e & 3) * 4;
                if (!quads) {
                    store_unaligned(part, static_cast<uint32_t>(index));
                } else if ((e & 1) == 0) {
                    store_unaligned(part, index);
                }
            }
        }
    }

    // --- addresses --------------------------------------------------------------------------

    uint64_t target(unsigned size) {
        const uint64_t at = target_in_first_alias(size);
        return harmless_data(at) ? at + surroundings_.alias * kAliasStride : at;
    }
    static bool harmless_data(uint64_t at) {
        return at - (kDataAddress - 64) < kMemoryBytes + 128;
    }
    uint64_t target_in_first_alias(unsigned size) {
        const uint64_t end = kDataAddress + kDataBytes;
        const bool anywhere = !surroundings_.gentle || random_.one_in(20);
        switch (anywhere ? random_.below(40) : 6 + random_.below(34)) {
            case 0:
                return end - random_.below(size + 1);  // into the read-only page
            case 1: return kReadOnlyAddress + 16 * random_.below(64);
            case 2:
                return kReadOnlyAddress + kReadOnlyBytes - random_.below(size + 1);  // into nothing
            case 3: return kDataAddress - random_.below(size + 1);
            case 4: return 0x30000000 + random_.below(0x1000);
            case 5: if (code64()) return 0x8000000000000000 + random_.next() % bit(60); break;
            case 6:
            case 7:
            case 8: return kDataAddress + 0x2000 - random_.below(size + 1);      // across two pages
            case 9: return kDataAddress + 0x400 + random_.below(0x1000);
            case 10: return kDataAddress + 0x1000 + 4 * random_.below(0x100);
            default: break;
        }
        return kDataAddress + 0x1000 + 64 * random_.below(0x20);
    }

    uint64_t segment_base(ZydisRegister segment) const {
        if (!code64()) return 0;
        return segment == ZYDIS_REGISTER_FS   ? host_fs_base()
               : segment == ZYDIS_REGISTER_GS ? kGsBase
                                              : 0;
    }

    bool place(const ZydisDecodedOperand& operand) {
        const ZydisDecodedOperandMem& mem = operand.mem;
        const unsigned size = std::max<unsigned>(operand.size / 8, 1);
        uint64_t at = target(size);
        const uint64_t base = segment_base(mem.segment);
        if (info_.address_width == 32 && (base > kSafeEnd || at > kSafeEnd)) {
            if (base > kSafeEnd) return false;
            at = kDataAddress + 0x1000;
        }
        patch(at, size);
        at -= base;
        if (mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP) {
            const uint64_t distance = at - (out_.address() + info_.length);
            return set_displacement(distance);
        }
        const int base_number = gpr_of(mem.base), index_number = gpr_of(mem.index);
        if (base_number < 0 && index_number < 0) return set_displacement(at);
        if (pinned(base_number)) {
            // As near as the displacement's size allows.
            const uint64_t rest = linear_of(operand) - static_cast<uint64_t>(mem.disp.value);
            if (info_.raw.disp.size == 32) return set_displacement(at + base - rest);
            return true;
        }
        const uint64_t displacement = static_cast<uint64_t>(mem.disp.value);
        const uint64_t scale = std::max<uint64_t>(mem.scale, 1);
        if (base_number < 0) {  // index and displacement: as near as the scale allows
            set_address(index_number, (at - displacement) / scale);
            return true;
        }
        if (index_number == base_number) {
            set_address(base_number, (at - displacement) / (1 + scale));
            return true;
        }
        uint64_t offset = 0;
        if (index_number >= 0) {
            uint64_t& index = gpr_[static_cast<unsigned>(index_number)];
            if (!pinned(index_number) && random_.one_in(2))
                index = random_.below(2) == 0 ? random_.below(64) : ~random_.below(64);
            if (!code64()) index &= 0xffffffff;
            offset = index * scale;
        }
        set_address(base_number, at - displacement - offset);
        return true;
    }

    bool pinned(int number) const {
        return number >= 0 && (surroundings_.pinned >> number & 1) != 0;
    }

    void set_address(int number, uint64_t value) {
        if (info_.address_width == 32) {
            value &= 0xffffffff;
            // The upper half does not count.
            if (code64() && number != kRsp && random_.one_in(2)) value |= random_.next() << 32;
        }
        if (!code64()) value &= 0xffffffff;
        gpr_[static_cast<unsigned>(number)] = value;
    }

    bool set_displacement(uint64_t value) {
        const auto& raw = info_.raw.disp;
        if (raw.size < 32) return false;
        if (raw.size == 32) {
            const bool fits = info_.address_width == 32 || sign_extend(value, 32) == value;
            if (!fits) return false;
        }
        std::memcpy(&out_.code[raw.offset], &value, raw.size / 8);
        return redecode();
    }

    bool redecode() {
        const auto bytes = std::as_bytes(std::span(out_.code)).first(kMaxInstructionLength);
        return decode(bytes, out_.mode, out_.instruction) == DecodeStatus::kOk;
    }

    // Fills the operand's bytes with a value of some interest.
    void patch(uint64_t at, unsigned size) {
        std::vector<std::byte> bytes(size);
        if (size == 10) {
            random_.extended(std::span<std::byte, 10>(bytes.data(), 10));
        } else {
            random_.fill(bytes);
        }
        patch(at, std::move(bytes));
    }
    void patch(uint64_t at, std::vector<std::byte> bytes) {
        at -= surroundings_.alias * kAliasStride;
        if (at >= kDataAddress && at + bytes.size() <= kDataAddress + kMemoryBytes &&
            at + bytes.size() > at) {
            out_.memory.push_back({at, std::move(bytes)});
        }
    }
    template <typename T>
    void patch_value(uint64_t at, T value) {
        std::vector<std::byte> bytes(sizeof value);
        std::memcpy(bytes.data(), &value, sizeof value);
        patch(at, std::move(bytes));
    }

    // Relative branches go beside the instruction, so that landing there can be told from it.
    void branch_target() {
        const auto& raw = info_.raw.imm[0];
        if (!raw.is_relative) return;
        const auto length = static_cast<uint64_t>(info_.length);
        int64_t distance = random_.one_in(2)
                               ? static_cast<int64_t>(random_.below(100))
                               : -static_cast<int64_t>(length + 1 + random_.below(80));
        if (raw.size > 8 && random_.one_in(4))
            distance *= 1 + static_cast<int64_t>(random_.below(100));
        std::memcpy(&out_.code[raw.offset], &distance, raw.size / 8);
        redecode();
    }

    const ZydisDecodedOperand* memory_operand() const {
        for (unsigned i = 0; i < info_.operand_count; ++i) {
            const ZydisDecodedOperand& operand = out_.instruction.operands[i];
            if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) return &operand;
        }
        return nullptr;
    }

    // --- memory that depends on where it is ---------------------------------------------------

    void after_placing() {
        const ZydisDecodedOperand* memory = memory_operand();
        if (memory == nullptr) return;
        const uint64_t at = linear_of(*memory);
        switch (name()) {
            case ZYDIS_MNEMONIC_CMPXCHG:
                if (random_.one_in(2)) patch_value(at, gpr_[kRax]);
                break;
            case ZYDIS_MNEMONIC_CMPXCHG8B:
                if (random_.one_in(2))
                    patch_value(at, (gpr_[kRdx] << 32) | (gpr_[kRax] & 0xffffffff));
                break;
            case ZYDIS_MNEMONIC_CMPXCHG16B:
                if (random_.one_in(2)) patch_value(at, std::array{gpr_[kRax], gpr_[kRdx]});
                break;
            case ZYDIS_MNEMONIC_LDMXCSR:
            case ZYDIS_MNEMONIC_VLDMXCSR:
                if (!random_.one_in(4))
                    patch_value(at, static_cast<uint32_t>(random_.next() & 0xffff));
                break;
            case ZYDIS_MNEMONIC_POPF:
            case ZYDIS_MNEMONIC_POPFD:
            case ZYDIS_MNEMONIC_POPFQ:
                // Not AC, TF: the host process does not survive them here; the rest is checked.
                patch_value(at, random_.next() & ~uint64_t{0x40100});
                break;
            case ZYDIS_MNEMONIC_JMP:
            case ZYDIS_MNEMONIC_CALL:
            case ZYDIS_MNEMONIC_RET: code_pointer(at); break;
            case ZYDIS_MNEMONIC_IRET:
            case ZYDIS_MNEMONIC_IRETD:
            case ZYDIS_MNEMONIC_IRETQ: interrupt_frame(at); break;
            case ZYDIS_MNEMONIC_FLDENV:
            case ZYDIS_MNEMONIC_FRSTOR:
            case ZYDIS_MNEMONIC_FXRSTOR:
            case ZYDIS_MNEMONIC_FXRSTOR64:
            case ZYDIS_MNEMONIC_XRSTOR:
            case ZYDIS_MNEMONIC_XRSTOR64: state_image(at); break;
            case ZYDIS_MNEMONIC_XSAVE:
            case ZYDIS_MNEMONIC_XSAVE64:
            case ZYDIS_MNEMONIC_XSAVEOPT:
            case ZYDIS_MNEMONIC_XSAVEOPT64: break;
            default:
                if (uses_selector()) patch_value(at, selector());
                if (name() == ZYDIS_MNEMONIC_POP || name() == ZYDIS_MNEMONIC_LDS ||
                    name() == ZYDIS_MNEMONIC_LES || name() == ZYDIS_MNEMONIC_LSS) {
                    far_pointer(at);
                }
                break;
        }
    }

    unsigned operand_bytes() const { return info_.operand_width / 8; }
    uint64_t code_address() { return kCodeAddress + 0x100 + random_.below(0x400); }

    // A near target, or a far one with a selector behind it.
    void code_pointer(uint64_t at) {
        const bool far = info_.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
        if (!far && random_.one_in(3)) return;
        const unsigned width = std::max(operand_bytes(), 2u);
        uint64_t target = code_address();
        if (random_.one_in(8)) target = random_.next();
        std::vector<std::byte> bytes(8);
        std::memcpy(bytes.data(), &target, 8);
        bytes.resize(width);
        if (far) {
            const uint64_t chosen = selector();
            bytes.resize(width + (name() == ZYDIS_MNEMONIC_RET ? width : 2));
            std::memcpy(bytes.data() + width, &chosen, bytes.size() - width);
        }
        patch(at, std::move(bytes));
    }

    void interrupt_frame(uint64_t at) {
        const unsigned width = std::max(operand_bytes(), 2u);
        const uint64_t values[5] = {code_address(), selector(), (random_.next() & 0xcd5) | 0x202,
                                    kDataAddress + 8 * random_.below(256), selector()};
        std::vector<std::byte> bytes(5 * width);
        for (unsigned i = 0; i < 5; ++i) std::memcpy(bytes.data() + i * width, &values[i], width);
        patch(at, std::move(bytes));
    }

    void far_pointer(uint64_t at) {
        const bool segment_pop =
            name() == ZYDIS_MNEMONIC_POP &&
            out_.instruction.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(out_.instruction.operands[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;
        if (segment_pop) patch_value(at, selector());
        if (name() != ZYDIS_MNEMONIC_POP) patch_value(at + operand_bytes(), selector());
    }

    void state_image(uint64_t at) {
        std::vector<std::byte> image = random_state_image(random_, out_.before);
        // As much of it as lies in the test area.
        const uint64_t start = kDataAddress + surroundings_.alias * kAliasStride;
        if (at < start || at >= start + kMemoryBytes) return;
        image.resize(std::min<uint64_t>(image.size(), start + kMemoryBytes - at));
        patch(at, std::move(image));
    }

    // --- the last word ------------------------------------------------------------------------

    uint64_t linear_of(const ZydisDecodedOperand& operand) const {
        const ZydisDecodedOperandMem& mem = operand.mem;
        uint64_t address = static_cast<uint64_t>(mem.disp.has_displacement ? mem.disp.value : 0);
        const int base = gpr_of(mem.base), index = gpr_of(mem.index);
        if (base >= 0) address += gpr_[static_cast<unsigned>(base)];
        if (index >= 0)
            address += gpr_[static_cast<unsigned>(index)] * std::max<uint64_t>(mem.scale, 1);
        if (mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP) {
            address += out_.address() + info_.length;
        }
        if (info_.address_width == 32) address &= 0xffffffff;
        return segment_base(mem.segment) + address;
    }

    static bool harmless(uint64_t linear) {
        const bool canonical = sign_extend(linear, 48) == linear;
        return !canonical || (linear > 0x10000 && linear < kSafeEnd);
    }

    bool safe() const {
        const bool xsave = info_.meta.category == ZYDIS_CATEGORY_XSAVE ||
                           info_.meta.category == ZYDIS_CATEGORY_XSAVEOPT;
        if (bit_test_by_register()) {
            const ZydisRegister offset = out_.instruction.operands[1].reg.value;
            uint64_t bits = gpr_[static_cast<unsigned>(gpr_of(offset))];
            if (!code64()) bits = sign_extend(bits, 32);
            const auto value = static_cast<int64_t>(bits);
            if (value < -1024 || value >= 1024) return false;  // it was also an address
        }
        // The mask of components may have become an address; the host has more of them.
        if (xsave && ((gpr_[kRax] & 0xffffffff) > 7 || (gpr_[kRdx] & 0xffffffff) != 0))
            return false;
        for (unsigned i = 0; i < info_.operand_count; ++i) {
            const ZydisDecodedOperand& operand = out_.instruction.operands[i];
            if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY ||
                operand.mem.type == ZYDIS_MEMOP_TYPE_AGEN)
                continue;
            const uint64_t linear = linear_of(operand);
            if (!harmless(linear) || !harmless(linear + 0x10000) || !harmless(linear - 0x10000))
                return false;
        }
        return true;
    }

    Random& random_;
    Case& out_;
    const Surroundings& surroundings_;
    const ZydisDecodedInstruction& info_;
    std::array<uint64_t, 16>& gpr_;
};

}  // namespace

bool aim(Random& random, Case& out, const Surroundings& surroundings) {
    return Aim(random, out, surroundings).run();
}

}  // namespace mynah::silicon
