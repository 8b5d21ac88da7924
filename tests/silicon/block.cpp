#include "silicon/block.h"

#include <fmt/format.h>

#include <cstring>

#include "base/bits.h"
#include "base/check.h"

namespace mynah::silicon {
namespace {

std::vector<uint64_t> unit_addresses(const Block& block) {
    std::vector<uint64_t> addresses;
    uint64_t at = block.address;
    for (const Unit& unit : block.units) {
        addresses.push_back(at);
        for (const Step& step : unit) at += step.length;
    }
    addresses.push_back(at);
    return addresses;
}

template <typename T>
void put(uint8_t* to, T value) {
    std::memcpy(to, &value, sizeof value);
}

class Assembler {
 public:
    Assembler(const Block& block, Program& out)
        : block_(block), addresses_(unit_addresses(block)), out_(out) {}

    void run() {
        for (const Unit& unit : block_.units) {
            for (const Step& step : unit) append(step);
        }
    }

 private:
    uint64_t address_of(unsigned unit) const {
        return addresses_[std::min<size_t>(unit, addresses_.size() - 1)];
    }
    // Of the last step of a unit.
    uint64_t field_address(const Step& step) const {
        uint64_t at = addresses_.back();
        if (step.unit < block_.units.size()) {
            const Unit& unit = block_.units[step.unit];
            at = address_of(step.unit + 1) - (unit.empty() ? 0 : unit.back().length) + step.into;
        }
        return step.linear + (at & (kCodeBytes - 1));
    }

    void append(const Step& step) {
        const uint64_t at = block_.address + out_.code.size();
        const uint64_t next = at + step.length;
        out_.code.insert(out_.code.end(), step.code.begin(), step.code.begin() + step.length);
        uint8_t* field = &out_.code[out_.code.size() - step.length] + step.field;
        switch (step.fix) {
            case Step::Fix::kNone: break;
            case Step::Fix::kShortBranch: {
                const uint64_t distance = address_of(step.unit) - next;
                put(field, static_cast<uint8_t>(sign_extend(distance, 8) == distance ? distance
                                                                                      : 0));
                break;
            }
            case Step::Fix::kNearBranch:
                put(field, static_cast<uint32_t>(address_of(step.unit) - next));
                break;
            case Step::Fix::kUnitAddress:
                put(field, static_cast<uint32_t>(address_of(step.unit)));
                break;
            case Step::Fix::kUnitIndex: put(field, step.unit); break;
            case Step::Fix::kUnitSlot:
                put(field, static_cast<uint32_t>(kUnitTable + 8 * step.unit));
                break;
            case Step::Fix::kRipRelative:
                put(field, static_cast<uint32_t>(step.linear - next));
                break;
            case Step::Fix::kUnitField:
                put(field, static_cast<uint32_t>(field_address(step)));
                break;
        }
    }

    const Block& block_;
    const std::vector<uint64_t> addresses_;
    Program& out_;
};

// Calls visit(address, instruction or null if undecodable, bytes) for each instruction in turn.
template <typename Visit>
void for_each_instruction(const Program& program, Visit&& visit) {
    std::array<uint8_t, kMaxInstructionLength> bytes;
    for (size_t at = 0; at < program.code.size();) {
        bytes.fill(0xcc);
        const size_t size = std::min(bytes.size(), program.code.size() - at);
        std::memcpy(bytes.data(), &program.code[at], size);
        Instruction instruction;
        const bool ok = decode(std::as_bytes(std::span(bytes)), program.mode, instruction) ==
                        DecodeStatus::kOk;
        const size_t length = ok ? instruction.length() : 1;
        visit(program.address + at, ok ? &instruction : nullptr,
              std::span(bytes).first(length));
        at += length;
    }
}

}  // namespace

unsigned Block::steps() const {
    size_t count = 0;
    for (const Unit& unit : units) count += unit.size();
    return static_cast<unsigned>(count);
}

bool assemble(const Block& block, Program& out) {
    const std::vector<uint64_t> addresses = unit_addresses(block);
    CHECK(block.units.size() <= kMaxUnits);
    const uint64_t size = addresses.back() - block.address;
    if ((block.address & (kCodeBytes - 1)) + size > kCodeBytes) return false;
    out.mode = block.mode;
    out.address = block.address;
    out.code.clear();
    Assembler(block, out).run();
    out.before = block.before;
    out.before.rip = block.address;
    out.memory = block.memory;
    out.scratch = block.scratch;
    out.modifies_itself = block.modifies_itself;
    std::byte* table = out.scratch.data() + (kUnitTable - kScratchAddress);
    for (size_t i = 0; i < block.units.size(); ++i) store_unaligned(table + 8 * i, addresses[i]);
    return true;
}

std::optional<Block> without_unit(const Block& block, unsigned unit) {
    Block result = block;
    result.units.erase(result.units.begin() + unit);
    for (Unit& each : result.units) {
        for (Step& step : each) {
            if (step.fix == Step::Fix::kUnitField && step.unit == unit) return std::nullopt;
            if (step.unit > unit) --step.unit;
        }
    }
    return result;
}

std::string listing(const Program& program, uint64_t marked) {
    std::string text;
    for_each_instruction(program, [&](uint64_t at, const Instruction* instruction, auto bytes) {
        std::string hex;
        for (const uint8_t byte : bytes) hex += fmt::format("{:02x}", byte);
        text += fmt::format("  {} {:x}  {:<31} {}\n", at == marked ? "->" : "  ", at, hex,
                            instruction != nullptr ? disassemble(*instruction, at) : "?");
    });
    return text;
}

bool instruction_at(const Program& program, uint64_t address, Instruction& out) {
    bool found = false;
    for_each_instruction(program, [&](uint64_t at, const Instruction* instruction, auto) {
        if (at == address && instruction != nullptr) out = *instruction, found = true;
    });
    return found;
}

}  // namespace mynah::silicon
