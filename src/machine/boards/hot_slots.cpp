#include "machine/boards/hot_slots.h"

#include <fmt/core.h>

#include <algorithm>

namespace mynah {

HotSlots::~HotSlots() {
    MutexLock lock(mutex_);
    while (std::ranges::any_of(slots_, [](const Slot& slot) { return slot.emptying; }))
        emptied_.wait(mutex_);
}

void HotSlots::add(Ich9RootPort& port, const PciAttachment& attachment) {
    MutexLock lock(mutex_);
    const size_t index = slots_.size();
    port.on_power_off([this, index] { powered_off(index); });
    slots_.push_back({&port, attachment, nullptr});
}

Result<void> HotSlots::plug(HotCard card) {
    MutexLock lock(mutex_);
    Slot* free = nullptr;
    for (Slot& slot : slots_) {
        if (slot.occupant != nullptr && slot.occupant->id == card.id)
            return Error(fmt::format("id '{}' is taken", card.id));
        if (free == nullptr && slot.occupant == nullptr && !slot.emptying) free = &slot;
    }
    if (free == nullptr)
        return Error(fmt::format("all {} slots are taken; detach a device first", slots_.size()));
    auto occupant = std::make_unique<Occupant>();
    occupant->id = std::move(card.id);
    occupant->backend = std::move(card.backend);
    occupant->card =
        std::make_unique<VirtioCard>(std::move(card.device), free->attachment, card.class_code);
    free->occupant = std::move(occupant);
    free->leaving = false;
    free->port->insert(free->occupant->card->transport.function());
    return {};
}

Result<void> HotSlots::request_unplug(const std::string& id) {
    MutexLock lock(mutex_);
    for (Slot& slot : slots_) {
        if (slot.occupant == nullptr || slot.occupant->id != id) continue;
        slot.leaving = true;
        slot.port->press_attention_button();
        return {};
    }
    return Error(fmt::format("no device '{}' is attached", id));
}

std::vector<std::string> HotSlots::ids() const {
    MutexLock lock(mutex_);
    std::vector<std::string> ids;
    for (const Slot& slot : slots_)
        if (slot.occupant != nullptr) ids.push_back(slot.occupant->id);
    return ids;
}

void HotSlots::powered_off(size_t index) {
    std::shared_ptr<Occupant> gone;
    Ich9RootPort* port = nullptr;
    {
        MutexLock lock(mutex_);
        Slot& slot = slots_[index];
        if (slot.occupant == nullptr) return;
        if (!slot.leaving) {
            // The guest's own wish: it stays, as it is after power-on.
            slot.occupant->card->transport.reset();
            return;
        }
        slot.port->remove();
        slot.emptying = true;
        port = slot.port;
        gone = std::move(slot.occupant);
    }
    // Not here: this processor is in the middle of a cycle, and others may be in the card.
    removals_.post([this, index, port, gone]() mutable {
        port->secondary().settle(0);
        gone->card.reset();
        gone.reset();
        MutexLock lock(mutex_);
        slots_[index].emptying = false;
        emptied_.notify_all();
    });
}

void HotSlots::reset() {
    MutexLock lock(mutex_);
    for (Slot& slot : slots_) {
        if (slot.occupant != nullptr && slot.leaving) {
            slot.port->remove();
            slot.occupant.reset();
            slot.leaving = false;
        }
        if (slot.occupant != nullptr) slot.occupant->card->transport.reset();
        slot.port->reset();
    }
}

}  // namespace mynah
