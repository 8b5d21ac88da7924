#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "silicon/case.h"

namespace mynah::silicon {

// One instruction of a block, with what must be filled in when its place is known.
struct Step {
    enum class Fix : uint8_t {
        kNone,
        kShortBranch,  // 8-bit distance to a unit; to what follows, if the unit is too far away
        kNearBranch,   // 32-bit distance to a unit
        kUnitAddress,  // 32-bit address of a unit
        kUnitIndex,    // 32-bit number of a unit
        kUnitSlot,     // 32-bit address of the place that holds the address of a unit
        kRipRelative,  // 32-bit distance to `linear`
        // 32-bit address of the byte `into` a unit's last step, in code area `linear`.
        kUnitField,
    };
    std::array<uint8_t, 16> code{};
    uint8_t length = 0;
    Fix fix = Fix::kNone;
    uint8_t field = 0;     // where in the code the fixed bytes are
    unsigned unit = 0;
    unsigned into = 0;
    uint64_t linear = 0;
};

// Steps that make sense only together, such as a load of a base register and its use. Branches go
// to the first of them.
using Unit = std::vector<Step>;

// A random block, from which a Program is assembled.
struct Block {
    uint64_t number = 0;
    CodeSize mode = CodeSize::k64;
    uint64_t address = kCodeAddress;
    std::vector<Unit> units;
    Registers before;
    std::vector<Patch> memory;
    std::array<std::byte, kScratchBytes> scratch{};
    bool modifies_itself = false;
    uint64_t undefined_flags = 0;      // at its end, or at a fault
    uint64_t undefined_between = 0;    // at the beginning of one of its instructions
    std::vector<uint64_t> pages;       // of the data area that it was made to access

    unsigned steps() const;
};

// Where the parts of the scratch area are.
inline constexpr uint64_t kFuelSlot = kScratchAddress;  // how many branches back are left
inline constexpr uint64_t kUnitTable = kScratchAddress + 0x100;  // addresses of units, 8 bytes each
inline constexpr uint64_t kConstants = kScratchAddress + 0x400, kConstantBytes = 32;
inline constexpr unsigned kMaxUnits = 64;

// False if it does not fit into the code area.
bool assemble(const Block& block, Program& out);

// The block without one of its units; branches to it go to what follows it. Nothing if another
// unit modifies it.
std::optional<Block> without_unit(const Block& block, unsigned unit);

// One line an instruction; `marked` gets an arrow.
std::string listing(const Program& program, uint64_t marked);
// The instruction at an address, if the program has one there.
bool instruction_at(const Program& program, uint64_t address, Instruction& out);

}  // namespace mynah::silicon
