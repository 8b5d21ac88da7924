#include "bus/pci/pci_function.h"

#include <algorithm>

#include "base/check.h"
#include "bus/pci/pci_function_state.h"

namespace mynah {

PciFunction::PciFunction(const PciAttachment& attachment, const PciIdentity& identity)
    : at_(attachment),
      bridge_(identity.bridge),
      dma_(attachment.memory, bus_master_, attachment.translation),
      intx_(attachment.intx),
      state_(std::make_unique<State>()) {
    MutexLock lock(mutex_);
    PciConfigSpace& config = state_->config;
    config.define(pci::kVendor, 2, identity.vendor, 0);
    config.define(pci::kDevice, 2, identity.device, 0);
    config.define(pci::kCommand, 2, 0, pci::command::kWritable);
    config.define_clearable(pci::kStatus, 2, pci::status::kClearable);
    config.define(pci::kRevision, 1, identity.revision, 0);
    config.define(pci::kClassCode, 3, identity.class_code, 0);
    config.define(pci::kCacheLine, 1, 0, 0xff);
    config.define(pci::kInterruptLine, 1, 0, 0xff);
    const bool wired = identity.interrupt_pin != 0 && attachment.intx_pin != 0;
    config.define(pci::kInterruptPin, 1, wired ? attachment.intx_pin : identity.interrupt_pin, 0);
    if (!bridge_) {
        config.define(pci::kSubsystemVendor, 2, identity.subsystem_vendor, 0);
        config.define(pci::kSubsystem, 2, identity.subsystem, 0);
        return;
    }
    config.define(pci::kHeaderType, 1, pci::header_type::kBridge, 0);
    for (const unsigned bus : {pci::bridge::kPrimaryBus, pci::bridge::kSecondaryBus,
                               pci::bridge::kSubordinateBus, pci::bridge::kSecondaryLatency}) {
        config.define(bus, 1, 0, 0xff);
    }
    // Windows [P2P 3.2.5.6 to 3.2.5.10]: 16-bit I/O, 32-bit memory, 64-bit prefetchable memory.
    for (const unsigned io : {pci::bridge::kIoBase, pci::bridge::kIoLimit})
        config.define(io, 1, 0, 0xf0);
    for (const unsigned memory : {pci::bridge::kMemoryBase, pci::bridge::kMemoryLimit})
        config.define(memory, 2, 0, 0xfff0);
    for (const unsigned prefetch : {pci::bridge::kPrefetchBase, pci::bridge::kPrefetchLimit})
        config.define(prefetch, 2, 1, 0xfff0);
    for (const unsigned high : {pci::bridge::kPrefetchBaseHigh, pci::bridge::kPrefetchLimitHigh})
        config.define(high, 4, 0, 0xffffffff);
    config.define_clearable(pci::bridge::kSecondaryStatus, 2, pci::status::kClearable);
    config.define(pci::bridge::kControl, 2, 0, pci::bridge::kControlWritable);
}

PciFunction::~PciFunction() { unplug(); }

void PciFunction::unplug() {
    for (const auto& bar : bars_) {
        move_bar(*bar, kNowhere);
        // A processor may be in the middle of an access to a card that is pulled.
        if (bar->window != nullptr)
            (bar->is_io() ? at_.ports : at_.memory_space).forget(*bar->window);
    }
}

void PciFunction::set_config(unsigned offset, unsigned size, uint32_t value, uint32_t writable) {
    MutexLock lock(mutex_);
    state_->config.define(offset, size, value, writable);
}

void PciFunction::set_config_clearable(unsigned offset, unsigned size, uint32_t clearable) {
    MutexLock lock(mutex_);
    state_->config.define_clearable(offset, size, clearable);
}

void PciFunction::on_config_write(std::function<void(unsigned, unsigned)> told) {
    told_ = std::move(told);
}

void PciFunction::on_config_read(std::function<void(unsigned, unsigned)> asked) {
    asked_ = std::move(asked);
}

unsigned PciFunction::add_capability(uint8_t id, std::vector<uint8_t> body,
                                     std::vector<uint8_t> writable) {
    CHECK(body.size() == writable.size());
    constexpr unsigned kNextPointer = 1, kBody = 2;
    MutexLock lock(mutex_);
    PciConfigSpace& config = state_->config;
    const unsigned at = config.allocate(kBody + static_cast<unsigned>(body.size()));
    config.define(at, 1, id, 0);
    config.define(at + kNextPointer, 1, 0, 0);
    for (unsigned i = 0; i < body.size(); ++i)
        config.define(at + kBody + i, 1, body[i], writable[i]);
    // The guest finds them in the order in which they were added.
    const unsigned pointer =
        last_capability_ == 0 ? pci::kCapabilities : last_capability_ + kNextPointer;
    config.define(pointer, 1, at, 0);
    config.define(pci::kStatus, 2, pci::status::kCapabilities, 0);
    last_capability_ = at;
    return at;
}

unsigned PciFunction::add_express(Express kind) {
    namespace express = pci::express;
    CHECK(express_ == 0);
    const std::vector<uint8_t> zeros(express::kBytes - 2);
    express_ = add_capability(pci::capability::kExpress, zeros, zeros);
    const auto set = [this](unsigned offset, unsigned size, uint32_t value, uint32_t writable) {
        set_config(express_ + offset, size, value, writable);
    };
    const bool root_port = kind == Express::kRootPort;
    set(express::kCapabilities, 2,
        express::kVersion2 | static_cast<uint32_t>(kind) << 4 |
            (root_port ? express::kSlotImplemented : 0u),
        0);
    set(express::kDeviceCapabilities, 4, express::kRoleBasedErrors, 0);
    set(express::kDeviceControl, 2, express::kDeviceControlReset, express::kDeviceControlWritable);
    set_config_clearable(express_ + express::kDeviceStatus, 2, express::kDeviceStatusClearable);
    if (kind == Express::kIntegrated) return express_;  // no link [PCIe 3.0 7.8]
    set(express::kLinkCapabilities, 4, express::kLinkSpeed1Width1, 0);
    set(express::kLinkControl, 2, 0, express::kLinkControlWritable);
    set(express::kLinkStatus, 2, express::kLinkSpeed1Width1, 0);
    set(express::kLinkCapabilities2, 4, 1u << 1, 0);  // speeds supported: 2.5 GT/s
    set(express::kLinkControl2, 2, 1, 0xffff);
    return express_;
}

uint32_t PciFunction::config_read(unsigned offset, unsigned size) {
    const uint32_t nobody = size >= 4 ? ~0u : (1u << (8 * size)) - 1;
    if (offset + size > pci::kExpressBytes) return nobody;
    if (offset >= pci::kConventionalBytes && express_ == 0) return nobody;
    if (asked_) asked_(offset, size);
    MutexLock lock(mutex_);
    return state_->config.read(offset, size);
}

void PciFunction::config_write(unsigned offset, unsigned size, uint32_t value) {
    if (offset + size > pci::kExpressBytes) return;
    if (offset >= pci::kConventionalBytes && express_ == 0) return;
    Messages messages;
    {
        MutexLock lock(mutex_);
        state_->config.write(offset, size, value);
        update();
        collect_pending(messages);
    }
    intx_.flush();
    if (offset < pci::kFirstFree) apply_places();
    send(messages);
    if (told_) told_(offset, size);
}

void PciFunction::store_config(unsigned offset, unsigned size, uint32_t value) {
    MutexLock lock(mutex_);
    state_->config.store(offset, size, value);
}

void PciFunction::change_config(unsigned offset, unsigned size, uint32_t clear, uint32_t set) {
    MutexLock lock(mutex_);
    const uint32_t before = state_->config.read(offset, size);
    state_->config.store(offset, size, (before & ~clear) | set);
}

void PciFunction::lock_config(unsigned offset, unsigned size, uint32_t writable) {
    MutexLock lock(mutex_);
    state_->config.restrict(offset, size, writable);
}

void PciFunction::reset() {
    {
        MutexLock lock(mutex_);
        state_->config.reset();
        state_->intx = false;
        for (size_t i = 0; i < state_->table.size(); ++i) {
            const bool control = i % pci::msix::kEntryBytes == pci::msix::kEntryControl;
            state_->table[i] = control ? pci::msix::kEntryMasked : 0;
        }
        std::fill(state_->pending.begin(), state_->pending.end(), 0);
        update();
    }
    intx_.flush();
    apply_places();
}

uint16_t PciFunction::command() const {
    MutexLock lock(mutex_);
    return state_->config.word(pci::kCommand);
}

uint32_t PciFunction::peek_config(unsigned offset, unsigned size) const {
    MutexLock lock(mutex_);
    return state_->config.read(offset, size);
}

// What follows from the registers besides the places of the BARs.
void PciFunction::update() {
    PciConfigSpace& config = state_->config;
    const uint16_t command = config.word(pci::kCommand);
    bus_master_.store((command & pci::command::kBusMaster) != 0, std::memory_order_release);
    uint16_t status = config.word(pci::kStatus);
    status = static_cast<uint16_t>(status & ~pci::status::kInterrupt);
    if (state_->intx) status |= pci::status::kInterrupt;
    config.store(pci::kStatus, 2, status);
    intx_.want(intx_wanted());
}

bool PciFunction::intx_wanted() const {
    const uint16_t command = state_->config.word(pci::kCommand);
    return state_->intx && (command & pci::command::kIntxDisable) == 0 && !msi_on() && !msix_on();
}

void PciFunction::set_intx(bool level) {
    {
        MutexLock lock(mutex_);
        if (state_->intx == level) return;
        state_->intx = level;
        update();
    }
    intx_.flush();
}

}  // namespace mynah
