#include <algorithm>
#include <bit>

#include "base/check.h"
#include "bus/pci/pci_function_state.h"

// Where the windows of a PciFunction are.
namespace mynah {
namespace {

constexpr unsigned kPhysicalBits = 52;  // [SDM 3A 4.1.4]: no processor addresses more
constexpr uint64_t kPortLimit = 0x10000;

}  // namespace

PciFunction::BarSlot& PciFunction::new_bar(unsigned index, Bar kind, uint64_t size) {
    auto bar = std::make_unique<BarSlot>();
    bar->number = index;
    bar->kind = kind;
    bar->size = size;
    bar->config_offset = pci::kBar0 + 4 * index;
    if (bar->is_rom()) bar->config_offset = bridge_ ? pci::bridge::kRom : pci::kRom;
    CHECK(std::has_single_bit(size));
    const unsigned limit = bridge_ ? pci::kBridgeBars : pci::kBars;
    CHECK(bar->is_rom() || index + (bar->is_64() ? 2 : 1) <= limit);
    for (const auto& other : bars_) CHECK(other->number != index);

    uint32_t flags = 0;
    uint64_t address_bits = ~(size - 1);
    if (bar->is_rom()) {
        CHECK(size >= pci::rom::kSmallest);
        address_bits |= pci::rom::kEnable;
    } else if (bar->is_io()) {
        CHECK(size >= pci::bar::kSmallestIo && size <= 256);
        flags = pci::bar::kIo;
        address_bits &= ~pci::bar::kIoFlags;
    } else {
        CHECK(size >= pci::bar::kSmallestMemory);
        CHECK(bar->is_64() || size <= uint64_t{1} << 31);
        if (bar->is_64()) flags |= pci::bar::kMemory64;
        if (kind == Bar::kPrefetchable32 || kind == Bar::kPrefetchable64)
            flags |= pci::bar::kPrefetchable;
        address_bits &= ~pci::bar::kMemoryFlags;
    }
    set_config(bar->config_offset, 4, flags, static_cast<uint32_t>(address_bits));
    if (bar->is_64())
        set_config(bar->config_offset + 4, 4, 0, static_cast<uint32_t>(address_bits >> 32));
    bars_.push_back(std::move(bar));
    return *bars_.back();
}

void PciFunction::add_bar(unsigned index, Bar kind, uint64_t size, IoHandler& handler) {
    CHECK(index < pci::kBars);
    new_bar(index, kind, size).window = std::make_unique<Window>(*this, handler);
}

void PciFunction::add_bells(unsigned index, std::vector<Bell> bells) {
    for (const auto& bar : bars_) {
        if (bar->number == index) bar->bells = std::move(bells);
    }
}

void PciFunction::add_memory_bar(unsigned index, Bar kind, const GuestMemory::Block& block) {
    CHECK(index < pci::kBars && kind != Bar::kIo && block.size >= kPageSize);
    BarSlot& bar = new_bar(index, kind, block.size);
    bar.block = block;
    bar.overlay = at_.memory.take_overlay();
}

void PciFunction::add_rom(const GuestMemory::Block& block) {
    BarSlot& bar = new_bar(pci::kBars, Bar::kMemory32, std::bit_ceil(block.size));
    bar.block = block;
    bar.overlay = at_.memory.take_overlay();
}

// Where the registers say that a BAR answers.
uint64_t PciFunction::bar_place(const BarSlot& bar) const {
    const PciConfigSpace& config = state_->config;
    const uint16_t command = config.word(pci::kCommand);
    const uint16_t enable = bar.is_io() ? pci::command::kIo : pci::command::kMemory;
    if ((command & enable) == 0) return kNowhere;
    const uint32_t low = config.dword(bar.config_offset);
    if (bar.is_rom() && (low & pci::rom::kEnable) == 0) return kNowhere;
    uint64_t address = low;
    if (bar.is_64()) address |= uint64_t{config.dword(bar.config_offset + 4)} << 32;
    address &= ~(bar.size - 1);
    if (bar.is_io()) return address + bar.size <= kPortLimit ? address : kNowhere;
    const uint64_t limit = uint64_t{1} << kPhysicalBits;
    return address < limit && bar.size <= limit - address ? address : kNowhere;
}

PciFunction::Places PciFunction::wanted_places() const {
    Places places{};
    for (const auto& bar : bars_) places[bar->number] = bar_place(*bar);
    return places;
}

void PciFunction::apply_places() {
    moves_.request([this] {
        Places places;
        {
            MutexLock lock(mutex_);
            places = wanted_places();
        }
        for (const auto& bar : bars_) move_bar(*bar, places[bar->number]);
    });
}

void PciFunction::move_bar(BarSlot& bar, uint64_t to) {
    if (bar.placed == to) return;
    bar.placed = to;
    if (bar.window == nullptr) {
        set_overlay(bar, to);
        return;
    }
    IoSpace& space = bar.is_io() ? at_.ports : at_.memory_space;
    if (to == kNowhere) {
        space.withdraw(*bar.window);
    } else {
        space.place(to, bar.size, *bar.window, bar.bells);
    }
}

void PciFunction::set_overlay(const BarSlot& bar, uint64_t at) {
    using Kind = MemoryOverlay::Kind;
    MemoryOverlay overlay;
    const auto overlaps = [&](const GuestMemory::Range& ram) {
        return at < ram.end().value && ram.start.value < at + bar.size;
    };
    const std::span<const GuestMemory::Range> ranges = at_.memory.ranges();
    // Above RAM there may be memory of other kinds.
    const GuestMemory::Range beyond{ranges.back().end(),
                                    at_.memory.end().value - ranges.back().end().value};
    if (at != kNowhere && std::none_of(ranges.begin(), ranges.end(), overlaps) &&
        !overlaps(beyond)) {
        overlay.start = GuestPhys(at);
        overlay.size = bar.block.size;
        overlay.kind = bar.is_rom() ? Kind::kReadOnly : Kind::kMemory;
        overlay.offset = bar.block.offset;
    }
    at_.memory.set_overlay(bar.overlay, overlay);
}

}  // namespace mynah
