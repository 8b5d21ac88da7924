#include "device/display/vga_memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"
#include "memory/address.h"

namespace mynah {

using namespace vga;

namespace {

constexpr uint32_t kBankBytes = 0x10000;

// One byte of ones for each plane in a mask of four bits.
constexpr uint32_t plane_bytes(unsigned planes) {
    return ((planes & 1) != 0 ? 0xffu : 0) | ((planes & 2) != 0 ? 0xff00u : 0) |
           ((planes & 4) != 0 ? 0xff0000u : 0) | ((planes & 8) != 0 ? 0xff000000u : 0);
}

constexpr uint32_t in_all_planes(uint8_t value) { return value * 0x01010101u; }

// What the processor's byte becomes before it meets latch and bit mask [VGA 2-80, write modes].
struct Prepared {
    uint32_t value;
    uint8_t bit_mask;
};
Prepared prepare(const VgaRegisters& registers, uint8_t value) {
    const auto& gr = registers.graphics;
    const unsigned mode = gr[graphics::kMode] & graphics::kWriteMode;
    const uint8_t rotated = std::rotr(value, gr[graphics::kRotate] & 7);
    switch (mode) {
        case 0: {
            const uint32_t fixed = plane_bytes(gr[graphics::kEnableSetReset]);
            return {
                (in_all_planes(rotated) & ~fixed) | (plane_bytes(gr[graphics::kSetReset]) & fixed),
                gr[graphics::kBitMask]};
        }
        case 2:
            return {plane_bytes(value & 0xf), gr[graphics::kBitMask]};
        default:  // 3
            return {plane_bytes(gr[graphics::kSetReset]),
                    static_cast<uint8_t>(rotated & gr[graphics::kBitMask])};
    }
}

uint32_t combine(unsigned function, uint32_t value, uint32_t latch) {
    switch (function & 3) {
        case 0:
            return value;
        case 1:
            return value & latch;
        case 2:
            return value | latch;
        default:
            return value ^ latch;
    }
}

}  // namespace

VgaMemory::VgaMemory(std::span<std::byte> bytes)
    : bytes_(bytes), written_((bytes.size() / kPageSize + 63) / 64) {
    CHECK(std::has_single_bit(bytes.size()) && bytes.size() >= 4 * kBankBytes);
}

uint32_t VgaMemory::load(uint32_t address) const {
    return load_unaligned<uint32_t>(bytes_.data() + uint64_t{4} * address);
}

void VgaMemory::mark(uint64_t begin, uint64_t size) {
    for (uint64_t page = begin / kPageSize; page <= (begin + size - 1) / kPageSize; ++page) {
        written_[page / 64] |= bit(page % 64);
    }
}

void VgaMemory::take_written(std::span<uint64_t> bits) {
    for (size_t i = 0; i < written_.size() && i < bits.size(); ++i) {
        bits[i] |= written_[i];
        written_[i] = 0;
    }
}

VgaMemory::Change VgaMemory::clear(uint64_t bytes) {
    const uint64_t size = std::min<uint64_t>(bytes, bytes_.size());
    if (size == 0) return {};
    std::memset(bytes_.data(), 0, size);
    mark(0, size);
    return {0, size};
}

// The memory map of the graphics controller's miscellaneous register [VGA 2-84]; makes offset
// count from the window's start.
bool VgaMemory::in_window(const VgaRegisters& registers, uint32_t& offset) const {
    if ((registers.misc & misc::kRamEnable) == 0) return false;
    struct Window {
        uint32_t start, size;
    };
    constexpr std::array<Window, 4> kWindows{
        {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}}};
    const Window& window =
        kWindows[registers.graphics[graphics::kMiscellaneous] >> graphics::kMapShift & 3];
    if (offset < window.start || offset - window.start >= window.size) return false;
    offset -= window.start;
    return true;
}

VgaMemory::Place VgaMemory::place(const VgaRegisters& registers, const Dispi& dispi,
                                  uint32_t offset) const {
    const uint8_t misc_graphics = registers.graphics[graphics::kMiscellaneous];
    uint32_t address = offset;
    if ((registers.sequencer[sequencer::kMemoryMode] & sequencer::kChain4) != 0) {
        // A0 and A1 choose the plane; A14 and A15 take their place, as in double-word scanning.
        address = (address & ~3u) | (address >> 14 & 3);
    } else if ((misc_graphics & graphics::kChainOddEven) != 0) {
        // A0 chooses the plane; what takes its place is A16 in the largest window, else the page
        // bit of the miscellaneous output register [VGA 2-84].
        const bool largest = (misc_graphics >> graphics::kMapShift & 3) == 0;
        const bool high =
            largest ? (offset & kBankBytes) != 0 : (registers.misc & misc::kOddEvenLowPage) == 0;
        address = (address & ~1u) | (high ? 1 : 0);
    }
    address &= kBankBytes - 1;
    if (dispi.enabled()) address += dispi.registers().bank * kBankBytes;
    address &= static_cast<uint32_t>(bytes_.size() / 4 - 1);
    return {address, offset & 3};
}

uint8_t VgaMemory::read(const VgaRegisters& registers, const Dispi& dispi, uint32_t offset) {
    if (dispi.enabled() && !dispi.planar()) {
        if (offset >= kBankBytes) return 0xff;
        const uint64_t at = uint64_t{dispi.registers().bank} * kBankBytes + offset;
        return static_cast<uint8_t>(bytes_[at]);
    }
    if (!in_window(registers, offset)) return 0xff;
    const Place at = place(registers, dispi, offset);
    latch_ = load(at.address);
    const auto& gr = registers.graphics;
    if ((gr[graphics::kMode] & graphics::kReadCompare) != 0) {
        const uint32_t differing = (latch_ ^ plane_bytes(gr[graphics::kColourCompare])) &
                                   plane_bytes(gr[graphics::kColourDontCare]);
        const uint32_t halves = differing | differing >> 16;
        return static_cast<uint8_t>(~(halves | halves >> 8));
    }
    unsigned plane = gr[graphics::kReadMap] & 3;
    if ((registers.sequencer[sequencer::kMemoryMode] & sequencer::kChain4) != 0) {
        plane = at.low_bits;
    } else if ((gr[graphics::kMode] & graphics::kHostOddEven) != 0) {
        plane = (plane & 2) | (at.low_bits & 1);
    }
    return static_cast<uint8_t>(latch_ >> (8 * plane));
}

VgaMemory::Change VgaMemory::write(const VgaRegisters& registers, const Dispi& dispi,
                                   uint32_t offset, uint8_t value) {
    if (dispi.enabled() && !dispi.planar()) {
        if (offset >= kBankBytes) return {};
        const uint64_t linear = uint64_t{dispi.registers().bank} * kBankBytes + offset;
        bytes_[linear] = static_cast<std::byte>(value);
        mark(linear, 1);
        return {linear, 1};
    }
    if (!in_window(registers, offset)) return {};
    const Place at = place(registers, dispi, offset);
    const uint8_t memory_mode = registers.sequencer[sequencer::kMemoryMode];
    unsigned planes = registers.sequencer[sequencer::kMapMask];
    if ((memory_mode & sequencer::kChain4) != 0) {
        planes &= 1u << at.low_bits;
    } else if ((memory_mode & sequencer::kNotOddEven) == 0) {
        planes &= (at.low_bits & 1) != 0 ? 0xau : 0x5u;
    }
    uint32_t result = latch_;
    if ((registers.graphics[graphics::kMode] & graphics::kWriteMode) != 1) {
        const Prepared prepared = prepare(registers, value);
        const uint32_t bits = in_all_planes(prepared.bit_mask);
        const uint32_t combined =
            combine(registers.graphics[graphics::kRotate] >> 3, prepared.value, latch_);
        result = (combined & bits) | (latch_ & ~bits);
    }
    const uint32_t enabled = plane_bytes(planes);
    if (enabled == 0) return {};
    const uint32_t old = load(at.address);
    store_unaligned(bytes_.data() + uint64_t{4} * at.address,
                    (result & enabled) | (old & ~enabled));
    mark(uint64_t{4} * at.address, 4);
    return {uint64_t{4} * at.address, 4};
}

}  // namespace mynah
