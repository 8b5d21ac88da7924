#include "paravirt/virtio/console/virtio_console.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::console;

VirtioConsole::VirtioConsole(const std::vector<VirtioConsolePort>& ports)
    : due_(ports.size()) {
    CHECK(!ports.empty() && ports.size() <= kMaxPorts);
    for (size_t i = 0; i < ports.size(); ++i) {
        const VirtioConsolePort& port = ports[i];
        ports_.push_back(
            std::make_unique<ConsolePort>(*this, i, port.backend, port.console, port.name));
    }
    for (auto& port : ports_) port->backend().set_sink(port.get());
}

// Nobody calls the ports any more when the first of them goes.
VirtioConsole::~VirtioConsole() {
    for (auto& port : ports_) port->backend().set_sink(nullptr);
}

uint32_t VirtioConsole::device_id() const { return virtio::kDeviceConsole; }

uint64_t VirtioConsole::features() const {
    return kFeatureSize | kFeatureEmergencyWrite | kFeatureMultiport;
}

uint16_t VirtioConsole::queue_count() const {
    return static_cast<uint16_t>(2 * (ports_.size() + 1));
}

void VirtioConsole::read_config(uint64_t offset, std::span<std::byte> to) const {
    Config config{};
    if (const auto size = ports_.front()->backend().terminal_size()) {
        config.columns = static_cast<uint16_t>(std::min(size->columns, 0xffffu));
        config.rows = static_cast<uint16_t>(std::min(size->rows, 0xffffu));
    }
    config.max_ports = static_cast<uint32_t>(ports_.size());
    read_config_bytes(config, offset, to);
}

// One character of a kernel in distress [virtio-1.2 5.3.4].
void VirtioConsole::write_config(uint64_t offset, std::span<const std::byte> from) {
    if (offset == offsetof(Config, emergency_write) && !from.empty())
        ports_.front()->backend().output(from.first(1));
}

void VirtioConsole::negotiated(uint64_t features) {
    negotiated_.store(features, std::memory_order_relaxed);
    // Without ports that open and close, the only one is open.
    if ((features & kFeatureMultiport) == 0) ports_.front()->set_open(true);
}

void VirtioConsole::serve(VirtioQueue& queue) {
    const uint16_t index = queue.index();
    if (index == kControlReceiveQueue) {
        {
            MutexLock lock(control_lock_);
            control_queue_ = &queue;
        }
        send_messages();
        return;
    }
    if (index == kControlTransmitQueue) {
        take_messages(queue);
        return;
    }
    const size_t port = index < kControlReceiveQueue ? 0u : (index - 2u) / 2u;
    if (index % 2 == 0) {
        ports_[port]->serve_receive(queue);
    } else {
        ports_[port]->serve_transmit(queue);
    }
}

void VirtioConsole::reset() {
    {
        MutexLock lock(control_lock_);
        control_queue_ = nullptr;
        std::fill(due_.begin(), due_.end(), 0);
    }
    negotiated_.store(0, std::memory_order_relaxed);
    for (auto& port : ports_) port->reset();
}

void VirtioConsole::terminal_resized() {
    VirtioDeviceEvents* const events = events_;
    if (ports_.front()->backend().terminal_size() && events != nullptr)
        events->configuration_changed();
    for (size_t i = 0; i < ports_.size(); ++i) {
        if (ports_[i]->is_console() && ports_[i]->backend().terminal_size())
            tell(i, message(kResize));
    }
}

void VirtioConsole::tell(size_t port, uint32_t messages) {
    if (!multiport()) return;
    {
        MutexLock lock(control_lock_);
        due_[port] |= messages;
    }
    send_messages();
}

void VirtioConsole::send_messages() {
    // A name goes before the port is open, and a size after the port is a console.
    constexpr uint16_t kOrder[] = {kPortAdd, kConsolePort, kResize, kPortName, kPortOpen};
    MutexLock lock(control_lock_);
    if (control_queue_ == nullptr) return;
    if (std::all_of(due_.begin(), due_.end(), [](uint32_t due) { return due == 0; })) return;
    VirtioQueue::Batch batch = control_queue_->open_batch();
    for (size_t port = 0; port < ports_.size(); ++port) {
        for (const uint16_t event : kOrder) {
            if ((due_[port] & message(event)) == 0) continue;
            if (!send_message(*control_queue_, batch, port, event)) return;
            due_[port] &= ~message(event);
        }
    }
}

bool VirtioConsole::send_message(VirtioQueue& queue, VirtioQueue::Batch& batch, size_t port,
                                 uint16_t event) {
    DescriptorChain chain;
    if (!queue.take(batch, chain)) return false;
    const uint64_t size = chain.writable.fill(message_bytes(port, event));
    queue.wrote(chain.writable);
    queue.give_back(chain.head, static_cast<uint32_t>(size));
    return true;
}

std::vector<std::byte> VirtioConsole::message_bytes(size_t number, uint16_t event) const {
    ConsolePort& port = *ports_[number];
    Control control{static_cast<uint32_t>(number), event, 1};
    if (event == kPortOpen) control.value = port.backend().connected() ? 1 : 0;
    std::vector<std::byte> bytes(sizeof control + port.name().size());
    std::memcpy(bytes.data(), &control, sizeof control);
    std::memcpy(bytes.data() + sizeof control, port.name().data(), port.name().size());
    if (event != kPortName) bytes.resize(sizeof control);
    if (event == kResize) {
        // As the specification has it; older kernels read rows first.
        const auto size = port.backend().terminal_size().value_or(TerminalSize{});
        const uint16_t words[] = {static_cast<uint16_t>(std::min(size.columns, 0xffffu)),
                                  static_cast<uint16_t>(std::min(size.rows, 0xffffu))};
        const auto raw = std::as_bytes(std::span(words));
        bytes.insert(bytes.end(), raw.begin(), raw.end());
    }
    return bytes;
}

void VirtioConsole::take_messages(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        Control control{};
        const bool whole = chain.readable.take_front(std::as_writable_bytes(std::span(&control, 1)));
        queue.give_back(chain.head, 0);
        if (whole) handle(control);
    }
}

// Messages that make no sense are ignored [virtio-1.2 5.3.6.2].
void VirtioConsole::handle(const Control& control) {
    if (!multiport()) return;
    if (control.event == kDeviceReady) {
        if (control.value != 1) return;
        for (size_t i = 0; i < ports_.size(); ++i) tell(i, message(kPortAdd));
        return;
    }
    if (control.port >= ports_.size()) return;
    ConsolePort& port = *ports_[control.port];
    if (control.event == kPortReady && control.value == 1) {
        uint32_t messages = message(kPortOpen);
        if (port.is_console()) {
            messages |= message(kConsolePort);
            if (port.backend().terminal_size()) messages |= message(kResize);
        }
        if (!port.name().empty()) messages |= message(kPortName);
        tell(control.port, messages);
    } else if (control.event == kPortOpen) {
        port.set_open(control.value != 0);
    }
}

}  // namespace mynah
