#include "device/interrupt/apic_bus.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/check.h"
#include "device/interrupt/local_apic.h"

namespace mynah {
namespace {

// Address and data of a message [SDM 3A 10.11.1, 10.11.2].
constexpr uint64_t kMsiLogical = 1u << 2, kMsiRedirectionHint = 1u << 3;
constexpr unsigned kMsiDestinationShift = 12;
constexpr uint32_t kMsiDeliveryMask = 7, kMsiAssert = 1u << 14, kMsiLevel = 1u << 15;
constexpr unsigned kMsiDeliveryShift = 8;

}  // namespace

ApicBus::ApicBus(StartupSink& startup) : startup_(startup) {}
ApicBus::~ApicBus() = default;

void ApicBus::attach(LocalApic& apic) {
    const uint32_t id = apic.apic_id();
    // An id of eight bits is what xAPIC, MSI and I/O APIC can name; FFh is broadcast.
    CHECK(id < 0xffff);
    if (by_id_.size() <= id) by_id_.resize(id + 1, nullptr);
    CHECK(by_id_[id] == nullptr);
    by_id_[id] = &apic;
    apics_.push_back(&apic);
}

// --- Local APICs of an engine.

EngineApics* ApicBus::begin_use() {
    if (!has_engine()) return nullptr;
    users_.fetch_add(1, std::memory_order_seq_cst);
    EngineApics* const engine = engine_.load(std::memory_order_seq_cst);
    if (engine == nullptr) end_use();
    return engine;
}

void ApicBus::change_engine(EngineApics* engine) {
    engine_.store(engine, std::memory_order_seq_cst);
    // Pairs with begin_use(): either it sees the new one, or we see that it is at it.
    while (users_.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
}

void ApicBus::hold() { change_engine(&held_); }

void ApicBus::use(EngineApics* engine) {
    change_engine(engine);
    for (EoiSink* sink : eoi_sinks_) sink->tell_routes();
    for (const MsiMessage& message : held_.take()) send(message);
}

// Equal ones count once, as in a local APIC, so that there are not many.
bool ApicBus::Held::send(uint64_t address, uint32_t data) {
    constexpr size_t kMost = 4096;
    MutexLock lock(mutex_);
    const auto is_it = [&](const MsiMessage& message) {
        return message.address == address && message.data == data;
    };
    if (std::none_of(messages_.begin(), messages_.end(), is_it) && messages_.size() < kMost)
        messages_.push_back({address, data});
    return true;
}

std::vector<MsiMessage> ApicBus::Held::take() {
    MutexLock lock(mutex_);
    return std::exchange(messages_, {});
}

MsiMessage to_msi(const ApicMessage& message) {
    const uint32_t destination =
        message.destination == ApicMessage::kBroadcast ? 0xff : message.destination & 0xff;
    return {ApicBus::kMsiBase | uint64_t{destination} << kMsiDestinationShift |
                (message.logical ? kMsiLogical : 0) |
                (message.mode == DeliveryMode::kLowestPriority ? kMsiRedirectionHint : 0),
            uint32_t{message.vector} | static_cast<uint32_t>(message.mode) << kMsiDeliveryShift |
                (message.level_triggered ? kMsiLevel | kMsiAssert : 0)};
}

void ApicBus::set_route(unsigned pin, const ApicMessage& message) {
    EngineApics* const engine = begin_use();
    if (engine == nullptr) return;
    const MsiMessage msi = to_msi(message);
    engine->set_route(pin, msi.address, msi.data);
    end_use();
}

void ApicBus::Lint::set(bool level) {
    for (LocalApic* apic : bus_.apics_) apic->set_lint(pin_, level);
}

void ApicBus::send(MsiMessage message) {
    if (message.address - kMsiBase >= kMsiSize) return;
    if (EngineApics* const engine = begin_use()) {
        engine->send(message.address, message.data);
        end_use();
        return;
    }
    ApicMessage out;
    out.destination = static_cast<uint32_t>(message.address >> kMsiDestinationShift) & 0xff;
    if (out.destination == 0xff) out.destination = ApicMessage::kBroadcast;
    out.logical = (message.address & kMsiLogical) != 0;
    out.mode = static_cast<DeliveryMode>(message.data >> kMsiDeliveryShift & kMsiDeliveryMask);
    out.vector = static_cast<uint8_t>(message.data);
    out.level_triggered = (message.data & kMsiLevel) != 0;
    if (out.level_triggered && (message.data & kMsiAssert) == 0) return;
    if (out.mode == DeliveryMode::kStartup || static_cast<uint8_t>(out.mode) == 3) return;
    if ((message.address & kMsiRedirectionHint) != 0 && out.mode == DeliveryMode::kFixed) {
        out.mode = DeliveryMode::kLowestPriority;
    }
    deliver(out);
}

bool ApicBus::accept(LocalApic& apic, const ApicMessage& message) {
    if (message.mode == DeliveryMode::kStartup) {
        startup_.startup(apic.vcpu(), message.vector);
        return true;
    }
    return apic.accept(message);
}

bool ApicBus::deliver(const ApicMessage& message) {
    if (EngineApics* const engine = begin_use()) {
        const MsiMessage msi = to_msi(message);
        const bool taken = engine->send(msi.address, msi.data);
        end_use();
        return taken;
    }
    if (message.mode == DeliveryMode::kLowestPriority) return deliver_lowest_priority(message);
    if (!message.logical && message.destination != ApicMessage::kBroadcast) {
        if (message.destination >= by_id_.size()) return false;
        LocalApic* apic = by_id_[message.destination];
        if (apic == nullptr || !apic->matches(message.destination, false)) return false;
        return accept(*apic, message);
    }
    bool taken = false;
    for (LocalApic* apic : apics_) {
        if (apic->matches(message.destination, message.logical)) taken |= accept(*apic, message);
    }
    return taken;
}

void ApicBus::deliver_to_all(const ApicMessage& message, const LocalApic* except) {
    ApicMessage everyone = message;
    everyone.destination = ApicMessage::kBroadcast;
    for (LocalApic* apic : apics_) {
        if (apic == except || !apic->matches(ApicMessage::kBroadcast, false)) continue;
        accept(*apic, everyone);
    }
}

// The one with the lowest processor priority; among equals each in turn [SDM 3A 10.6.2.4].
bool ApicBus::deliver_lowest_priority(const ApicMessage& message) {
    if (apics_.empty()) return false;
    const size_t first = next_arbiter_.fetch_add(1, std::memory_order_relaxed) % apics_.size();
    LocalApic* chosen = nullptr;
    for (size_t i = 0; i < apics_.size(); ++i) {
        LocalApic* apic = apics_[(first + i) % apics_.size()];
        if (!apic->enabled_by_software()) continue;
        if (!apic->matches(message.destination, message.logical)) continue;
        if (chosen == nullptr || apic->processor_priority() < chosen->processor_priority()) {
            chosen = apic;
        }
    }
    return chosen != nullptr && accept(*chosen, message);
}

void ApicBus::end_of_interrupt(uint8_t vector) {
    for (EoiSink* sink : eoi_sinks_) sink->end_of_interrupt(vector);
}

}  // namespace mynah
