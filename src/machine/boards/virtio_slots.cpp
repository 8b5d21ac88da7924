#include "machine/boards/virtio_slots.h"

#include <fmt/core.h>

#include "machine/boards/micro_layout.h"
#include "machine/followed.h"
#include "spec/virtio/mmio_registers.h"

namespace mynah {
namespace {

uint64_t slot_address(size_t slot) { return micro::kVirtioMmio + slot * virtio::mmio::kRegionSize; }
uint32_t slot_gsi(size_t slot) {
    return micro::kFirstVirtioGsi + static_cast<uint32_t>(slot % micro::kVirtioGsis);
}

}  // namespace

Result<void> VirtioSlots::add(std::unique_ptr<VirtioDevice> device) {
    const size_t number = slots_.size();
    if (number < micro::kVirtioGsis) {
        lines_.push_back(std::make_unique<SharedLine>(router_.gsi(Gsi(slot_gsi(number)))));
    }
    InterruptLine& line = lines_[number % micro::kVirtioGsis]->add_input();
    Slot slot;
    slot.followed = follow(record_, *device, fmt::format("slot {}", number));
    slot.transport = std::make_unique<VirtioMmio>(*device, dma_, line);
    slot.device = std::move(device);
    TRY(memory_space_.add(fmt::format("virtio-mmio {}", number), slot_address(number),
                          virtio::mmio::kRegionSize, *slot.transport,
                          slot.transport->bells()));
    slots_.push_back(std::move(slot));
    return {};
}

void VirtioSlots::reset() {
    for (Slot& slot : slots_) slot.transport->write(virtio::mmio::kStatus, sizeof(uint32_t), 0);
}

std::vector<AcpiBoard::VirtioMmio> VirtioSlots::describe() const {
    std::vector<AcpiBoard::VirtioMmio> out;
    for (size_t i = 0; i < slots_.size(); ++i) {
        const bool shared = i + micro::kVirtioGsis < slots_.size() || i >= micro::kVirtioGsis;
        out.push_back({.address = static_cast<uint32_t>(slot_address(i)),
                       .size = static_cast<uint32_t>(virtio::mmio::kRegionSize),
                       .gsi = slot_gsi(i),
                       .shared = shared});
    }
    return out;
}

}  // namespace mynah
