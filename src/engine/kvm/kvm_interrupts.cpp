#include "engine/kvm/kvm_interrupts.h"

#include <linux/kvm.h>

#include <algorithm>
#include <vector>

#include "engine/kvm/kvm_requests.h"

namespace mynah::kvm {
namespace {

constexpr uint32_t kLevel = 1u << 15;  // of a message's data [SDM 3A 10.11.2]

// The header with its entries, as one piece of memory.
struct RoutingHeader {
    uint32_t count, flags;  // kvm_irq_routing_entry follow
};

kvm_irq_routing_entry route(unsigned gsi, uint64_t address, uint32_t data) {
    kvm_irq_routing_entry entry{};
    entry.gsi = gsi;
    entry.type = KVM_IRQ_ROUTING_MSI;
    entry.u.msi.address_lo = static_cast<uint32_t>(address);
    entry.u.msi.address_hi = static_cast<uint32_t>(address >> 32);
    entry.u.msi.data = data;
    return entry;
}

}  // namespace

bool Interrupts::turn_on(const Handle& vm) {
    for (const long needed : {KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_SIGNAL_MSI, KVM_CAP_MP_STATE}) {
        if (extension(vm, needed) == 0) return false;
    }
    if (extension(vm, KVM_CAP_IRQ_ROUTING) < static_cast<int>(kPins + kPlaces)) return false;
    kvm_enable_cap split{};
    split.cap = KVM_CAP_SPLIT_IRQCHIP;
    split.args[0] = kPins;
    return vm.ask(KVM_ENABLE_CAP, &split) >= 0;
}

Interrupts::Interrupts(const Handle& vm)
    : vm_(vm), has_eventfds_(extension(vm, KVM_CAP_IRQFD) != 0) {}

unsigned Interrupts::place_of(const Message& message) {
    const uint64_t mixed = (message.address ^ uint64_t{message.data} << 32) * 0x9e3779b97f4a7c15;
    return static_cast<unsigned>(mixed >> 57);
}
static_assert(uint64_t{1} << (64 - 57) == 128);

bool Interrupts::send(uint64_t address, uint32_t data) {
    if (has_eventfds_ && (data & kLevel) == 0 && by_eventfd({address, data})) return true;
    kvm_msi message{};
    message.address_lo = static_cast<uint32_t>(address);
    message.address_hi = static_cast<uint32_t>(address >> 32);
    message.data = data;
    return vm_.ask(KVM_SIGNAL_MSI, &message) > 0;
}

bool Interrupts::by_eventfd(const Message& message) {
    const unsigned number = place_of(message);
    MutexLock lock(mutex_);
    Place& place = places_[number];
    if (place.message == message) {
        place.credit = std::min(place.credit + 1, kMostCredit);
        if (!place.bell && place.credit == kEarned) give_route(place, kPins + number);
    } else if (place.credit > 0) {
        --place.credit;
        return false;
    } else {
        take_route(place, kPins + number);
        place.message = message;
        place.credit = 1;
    }
    if (!place.bell) return false;
    place.bell->signal();
    signals_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

int Interrupts::connect(const EventFd& bell, unsigned gsi, uint32_t flags) const {
    kvm_irqfd irq{};
    irq.fd = static_cast<uint32_t>(bell.fd());
    irq.gsi = gsi;
    irq.flags = flags;
    return vm_.ask(KVM_IRQFD, &irq);
}

void Interrupts::give_route(Place& place, unsigned gsi) {
    place.bell.emplace();
    if (place.bell->valid() && tell_routes() && connect(*place.bell, gsi, 0) >= 0) {
        eventfds_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    place.bell.reset();  // it stays the kernel's other way, until the place is another's
}

void Interrupts::take_route(Place& place, unsigned gsi) {
    if (!place.bell) return;
    (void)connect(*place.bell, gsi, KVM_IRQFD_FLAG_DEASSIGN);
    place.bell.reset();
    eventfds_.fetch_sub(1, std::memory_order_relaxed);
}

void Interrupts::set_route(unsigned pin, uint64_t address, uint32_t data) {
    if (pin >= kPins) return;
    MutexLock lock(mutex_);
    if (pins_[pin] == Message{address, data}) return;
    pins_[pin] = Message{address, data};
    (void)tell_routes();
}

// [api.rst, KVM_SET_GSI_ROUTING]: always all of them.
bool Interrupts::tell_routes() {
    std::vector<std::byte> bytes(sizeof(RoutingHeader) +
                                 (kPins + kPlaces) * sizeof(kvm_irq_routing_entry));
    auto* const header = reinterpret_cast<RoutingHeader*>(bytes.data());
    auto* entry = reinterpret_cast<kvm_irq_routing_entry*>(bytes.data() + sizeof(RoutingHeader));
    const auto add = [&](unsigned gsi, const Message& message) {
        *entry++ = route(gsi, message.address, message.data);
        ++header->count;
    };
    for (unsigned pin = 0; pin < kPins; ++pin) {
        if (pins_[pin]) add(pin, *pins_[pin]);
    }
    for (unsigned i = 0; i < kPlaces; ++i) {
        if (places_[i].bell) add(kPins + i, places_[i].message);
    }
    return vm_.ask(kSetGsiRouting, bytes.data()) >= 0;
}

}  // namespace mynah::kvm
