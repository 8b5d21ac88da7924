#include "isa/decode_cache.h"

#include <array>
#include <cstring>

namespace mynah {
namespace {

// What a byte is at the place of an opcode in 64-bit code [SDM 2D A.3].
enum class Byte : uint8_t { kPlain, kModrm, kPrefix, kRex, kEscape, kVex2, kVex3, kOther };

constexpr std::array<Byte, 256> make_map0() {
    std::array<Byte, 256> map{};
    for (unsigned i = 0; i < 0x40; ++i) map[i] = (i & 7) < 4 ? Byte::kModrm : Byte::kPlain;
    for (unsigned i = 0x40; i < 0x50; ++i) map[i] = Byte::kRex;
    for (unsigned i = 0x80; i < 0x8f; ++i) map[i] = Byte::kModrm;
    for (unsigned i = 0xd8; i < 0xe0; ++i) map[i] = Byte::kModrm;
    for (const unsigned i : {0x63, 0x69, 0x6b, 0xc0, 0xc1, 0xc6, 0xc7, 0xd0, 0xd1, 0xd2, 0xd3,
                             0xf6, 0xf7, 0xfe, 0xff}) {
        map[i] = Byte::kModrm;
    }
    for (const unsigned i : {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3})
        map[i] = Byte::kPrefix;
    map[0x0f] = Byte::kEscape;
    map[0xc5] = Byte::kVex2;
    map[0xc4] = Byte::kVex3;
    // EVEX, XOP or POP, far and absolute addresses: rare, and not worth telling apart.
    for (const unsigned i : {0x62, 0x8f, 0x9a, 0xea, 0xa0, 0xa1, 0xa2, 0xa3}) map[i] = Byte::kOther;
    return map;
}

constexpr std::array<bool, 256> make_map1_modrm() {
    std::array<bool, 256> map{};
    for (bool& each : map) each = true;
    const auto none = [&](unsigned from, unsigned to) {
        for (unsigned i = from; i <= to; ++i) map[i] = false;
    };
    none(0x04, 0x0c);
    map[0x0d] = true;
    none(0x0e, 0x0f);
    none(0x30, 0x37);
    none(0x77, 0x77);
    none(0x80, 0x8f);
    none(0xa0, 0xa2);
    none(0xa8, 0xaa);
    none(0xc8, 0xcf);
    return map;
}

constexpr std::array<Byte, 256> kMap0 = make_map0();
constexpr std::array<bool, 256> kMap1Modrm = make_map1_modrm();

// A little-endian number of 1, 2, 4 or 8 bytes.
uint64_t number(const std::byte* at, unsigned size, bool is_signed) {
    switch (size) {
        case 1: {
            const auto value = std::to_integer<uint8_t>(*at);
            return is_signed ? static_cast<uint64_t>(int64_t{static_cast<int8_t>(value)}) : value;
        }
        case 2: {
            uint16_t value;
            std::memcpy(&value, at, 2);
            return is_signed ? static_cast<uint64_t>(int64_t{static_cast<int16_t>(value)}) : value;
        }
        case 4: {
            uint32_t value;
            std::memcpy(&value, at, 4);
            return is_signed ? static_cast<uint64_t>(int64_t{static_cast<int32_t>(value)}) : value;
        }
        default: {
            uint64_t value;
            std::memcpy(&value, at, 8);
            return value;
        }
    }
}

}  // namespace

struct DecodeCache::Entry {
    static constexpr uint8_t kNone = 0xff;
    struct Immediate {
        uint8_t offset, size, operand;
        bool is_signed;
    };
    uint64_t key = 0;
    uint8_t length = 0;  // of the instruction
    uint8_t disp_at = 0, disp_size = 0, disp_operand = kNone;
    uint8_t immediate_count = 0;
    std::array<Immediate, 2> immediates{};
    Instruction instruction;

    void fill_in(const std::byte* bytes) {
        if (disp_size != 0) {
            const uint64_t value = number(bytes + disp_at, disp_size, true);
            instruction.info.raw.disp.value = static_cast<ZyanI64>(value);
            if (disp_operand != kNone)
                instruction.operands[disp_operand].mem.disp.value = static_cast<ZyanI64>(value);
        }
        for (unsigned i = 0; i < immediate_count; ++i) {
            const Immediate& imm = immediates[i];
            const uint64_t value = number(bytes + imm.offset, imm.size, imm.is_signed);
            instruction.info.raw.imm[i].value.u = value;
            if (imm.operand != kNone) instruction.operands[imm.operand].imm.value.u = value;
        }
    }
};

DecodeCache::DecodeCache() : entries_(new Entry[size_t{1} << kEntryBits]), single_{} {}
DecodeCache::~DecodeCache() = default;

// What cannot be told, or is longer than a key, has no shape.
DecodeCache::Shape DecodeCache::shape_of(std::span<const std::byte> bytes) {
    constexpr size_t kMostBytes = 7;
    const size_t size = bytes.size() < kMostBytes ? bytes.size() : kMostBytes;
    size_t i = 0;
    const auto at = [&](size_t n) { return std::to_integer<unsigned>(bytes[n]); };
    while (i < size && kMap0[at(i)] == Byte::kPrefix) ++i;
    if (i < size && kMap0[at(i)] == Byte::kRex) ++i;
    if (i == size) return {};
    bool has_modrm = false;
    switch (kMap0[at(i)]) {
        case Byte::kPlain: break;
        case Byte::kModrm: has_modrm = true; break;
        case Byte::kEscape:
            if (++i == size) return {};
            has_modrm = kMap1Modrm[at(i)];
            if (at(i) == 0x38 || at(i) == 0x3a) {
                if (++i == size) return {};
                has_modrm = true;
            }
            break;
        case Byte::kVex2: i += 2; has_modrm = true; break;
        case Byte::kVex3: i += 3; has_modrm = true; break;
        case Byte::kPrefix:
        case Byte::kRex:
        case Byte::kOther: return {};
    }
    ++i;
    Shape shape;
    if (has_modrm) {
        if (i >= size) return {};
        const unsigned modrm = at(i++), mod = modrm >> 6, rm = modrm & 7;
        unsigned base = rm;
        if (mod != 3 && rm == 4) {
            if (i >= size) return {};
            base = at(i++) & 7;
        }
        if (mod == 1) shape.disp_size = 1;
        if (mod == 2 || (mod == 0 && base == 5)) shape.disp_size = 4;
    }
    if (i > size) return {};
    for (size_t n = 0; n < i; ++n) shape.key |= uint64_t{at(n)} << (8 * n);
    shape.key |= uint64_t{i} << 56;
    shape.length = static_cast<unsigned>(i);
    return shape;
}

// Takes in what was just decoded. False: the shape does not say all about it.
bool DecodeCache::learn(Entry& entry, const Shape& shape) {
    const auto& info = entry.instruction.info;
    if (info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
        info.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX) {
        return false;
    }
    if (info.raw.disp.size != shape.disp_size * 8 ||
        (shape.disp_size != 0 && info.raw.disp.offset != shape.length)) {
        return false;
    }
    entry.disp_at = static_cast<uint8_t>(shape.length);
    entry.disp_size = static_cast<uint8_t>(shape.disp_size);
    entry.disp_operand = Entry::kNone;
    entry.immediate_count = 0;
    unsigned end = shape.length + shape.disp_size;
    for (const auto& imm : info.raw.imm) {
        if (imm.size == 0) continue;
        if (imm.offset != end || entry.immediate_count == entry.immediates.size()) return false;
        entry.immediates[entry.immediate_count++] = {.offset = imm.offset,
                                                     .size = static_cast<uint8_t>(imm.size / 8),
                                                     .operand = Entry::kNone,
                                                     .is_signed = imm.is_signed != 0};
        end += imm.size / 8u;
    }
    if (end != info.length) return false;
    unsigned next = 0;
    for (unsigned i = 0; i < info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = entry.instruction.operands[i];
        // The immediate names a register.
        if (operand.encoding == ZYDIS_OPERAND_ENCODING_IS4) return false;
        if (operand.type == ZYDIS_OPERAND_TYPE_POINTER) return false;
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.disp.has_displacement) {
            if (entry.disp_operand != Entry::kNone) return false;
            entry.disp_operand = static_cast<uint8_t>(i);
        }
        if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
            operand.encoding != ZYDIS_OPERAND_ENCODING_NONE) {
            if (next >= entry.immediate_count) {
                // SHL by one, whose count is in the opcode.
                if (entry.immediate_count != 0) return false;
                continue;
            }
            if (operand.imm.value.u != info.raw.imm[next].value.u) return false;
            entry.immediates[next++].operand = static_cast<uint8_t>(i);
        }
    }
    if (next != entry.immediate_count) return false;
    entry.length = info.length;
    entry.key = shape.key;
    return true;
}

DecodeStatus DecodeCache::decode(std::span<const std::byte> bytes, CodeSize size,
                                 const Instruction*& out) {
    const Shape shape = size == CodeSize::k64 ? shape_of(bytes) : Shape{};
    if (shape.key == 0) {
        ++misses_;
        out = &single_;
        return mynah::decode(bytes, size, single_);
    }
    Entry& entry = entries_[shape.key * 0x9e3779b97f4a7c15u >> (64 - kEntryBits)];
    if (entry.key == shape.key && entry.length <= bytes.size()) {
        entry.fill_in(bytes.data());
        out = &entry.instruction;
        return DecodeStatus::kOk;
    }
    ++misses_;
    out = &entry.instruction;
    entry.key = 0;
    const DecodeStatus status = mynah::decode(bytes, size, entry.instruction);
    if (status == DecodeStatus::kOk) learn(entry, shape);
    return status;
}

void copy_instruction(Instruction& to, const Instruction& from) {
    to.info = from.info;
    const unsigned count = from.info.operand_count;
    for (unsigned i = 0; i < count; ++i) to.operands[i] = from.operands[i];
    for (unsigned i = count; i < ZYDIS_MAX_OPERAND_COUNT; ++i) {
        to.operands[i].type = ZYDIS_OPERAND_TYPE_UNUSED;
        to.operands[i].encoding = ZYDIS_OPERAND_ENCODING_NONE;
        to.operands[i].visibility = ZYDIS_OPERAND_VISIBILITY_INVALID;
        to.operands[i].actions = 0;
        to.operands[i].size = 0;
    }
}

}  // namespace mynah
