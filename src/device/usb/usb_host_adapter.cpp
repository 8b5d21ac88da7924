#include "device/usb/usb_host_adapter.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/check.h"

namespace mynah {

UsbHostAdapter::Member::Member(UsbHostAdapter& adapter, UsbHostChip& chip,
                               UsbInterrupts& interrupts)
    : adapter_(adapter), chip_(chip), interrupts_(interrupts), line_(interrupts) {}

uint64_t UsbHostAdapter::Member::read(uint64_t offset, unsigned size) {
    MutexLock lock(adapter_.mutex_);
    const auto at = static_cast<uint32_t>(offset);
    if (size != 8) return chip_.read(at, size);
    return chip_.read(at, 4) | uint64_t{chip_.read(at + 4, 4)} << 32;
}

void UsbHostAdapter::Member::write(uint64_t offset, unsigned size, uint64_t value) {
    {
        MutexLock lock(adapter_.mutex_);
        const auto at = static_cast<uint32_t>(offset);
        chip_.write(at, std::min(size, 4u), static_cast<uint32_t>(value));
        if (size == 8) chip_.write(at + 4, 4, static_cast<uint32_t>(value >> 32));
    }
    adapter_.settle();
}

void UsbHostAdapter::Member::deliver() {
    const bool messages = interrupts_.messages();
    UsbHostChip::Signals signals;
    {
        MutexLock lock(adapter_.mutex_);
        signals = chip_.take_signals(messages);
        line_.want(signals.line);
    }
    line_.flush();
    for (unsigned vector = 0; signals.vectors >> vector != 0; ++vector) {
        if ((signals.vectors >> vector & 1) != 0) interrupts_.send(vector);
        if (vector == 31) break;
    }
}

UsbHostAdapter::UsbHostAdapter(VmClock& clock)
    : clock_(clock), timer_(clock.create_timer([this] { fired(); })) {}

UsbHostAdapter::~UsbHostAdapter() {
    timer_->disarm();
    std::vector<UsbDevice*> devices;
    {
        MutexLock lock(mutex_);
        devices = ports_;
    }
    for (UsbDevice* device : devices) {
        if (device != nullptr) unplug(*device);
    }
}

IoHandler& UsbHostAdapter::add(UsbHostChip& chip, UsbInterrupts& interrupts) {
    MutexLock lock(mutex_);
    if (members_.empty()) ports_.resize(chip.port_count());
    members_.push_back(std::make_unique<Member>(*this, chip, interrupts));
    return *members_.back();
}

std::optional<unsigned> UsbHostAdapter::best_port(const UsbDevice& device) const {
    const UsbHostChip& chip = members_.front()->chip_;
    std::optional<unsigned> best;
    std::optional<UsbSpeed> best_speed;
    for (unsigned port = 0; port < ports_.size(); ++port) {
        const auto speed = chip.speed_for(port, device);
        if (ports_[port] != nullptr || !speed) continue;
        if (best_speed && *best_speed >= *speed) continue;
        best = port;
        best_speed = speed;
    }
    return best;
}

Result<unsigned> UsbHostAdapter::plug(UsbDevice& device, std::optional<unsigned> port) {
    const std::string& name = device.description().name;
    {
        MutexLock lock(mutex_);
        if (!port) {
            port = best_port(device);
            if (!port) return Error(fmt::format("no free USB port for '{}'", name));
        }
        if (*port >= ports_.size()) {
            return Error(
                fmt::format("there is no USB port {}; the last is {}", *port, ports_.size() - 1));
        }
        if (ports_[*port] != nullptr) {
            return Error(fmt::format("USB port {} has a device in it", *port));
        }
        if (!members_.front()->chip_.speed_for(*port, device)) {
            return Error(fmt::format("'{}' does not fit into USB port {}", name, *port));
        }
        ports_[*port] = &device;  // reserved, and not yet seen by the chip
    }
    device.plug(*this);
    {
        MutexLock lock(mutex_);
        members_.front()->chip_.plug(*port, device);
    }
    settle();
    return *port;
}

void UsbHostAdapter::unplug(UsbDevice& device) {
    {
        MutexLock lock(mutex_);
        const auto found = std::find(ports_.begin(), ports_.end(), &device);
        if (found == ports_.end()) return;
        members_.front()->chip_.unplug(static_cast<unsigned>(found - ports_.begin()));
        *found = nullptr;
    }
    mutex_.lock();
    while (busy_ == &device) free_.wait(mutex_);
    mutex_.unlock();
    device.unplug();
    settle();
}

void UsbHostAdapter::reset() {
    {
        MutexLock lock(mutex_);
        for (auto& member : members_) member->chip_.reset();
    }
    settle();
}

void UsbHostAdapter::wake(UsbDevice& device, uint8_t endpoint) {
    {
        MutexLock lock(mutex_);
        if (std::find(ports_.begin(), ports_.end(), &device) == ports_.end()) return;
        members_.front()->chip_.wake(device, endpoint);
    }
    settle();
}

void UsbHostAdapter::fired() {
    {
        MutexLock lock(mutex_);
        armed_ns_ = ~uint64_t{0};
        work_left_ = false;
        for (auto& member : members_) {
            if (member->chip_.next_run_ns() <= clock_.now_ns()) member->chip_.run();
        }
    }
    settle();
}

void UsbHostAdapter::arm() {
    uint64_t next = work_left_ ? clock_.now_ns() + kPauseNs : ~uint64_t{0};
    for (auto& member : members_) next = std::min(next, member->chip_.next_run_ns());
    if (next == armed_ns_ || (work_left_ && armed_ns_ < next)) return;
    armed_ns_ = next;
    if (next == ~uint64_t{0})
        timer_->disarm();
    else
        timer_->arm(next);
}

void UsbHostAdapter::deliver() {
    for (auto& member : members_) member->deliver();
}

void UsbHostAdapter::settle() {
    deliver();
    perform();
    MutexLock lock(mutex_);
    arm();
}

UsbDevice* UsbHostAdapter::next_with_work() {
    for (size_t i = 0; i < ports_.size(); ++i) {
        UsbDevice* device = ports_[(turn_ + i) % ports_.size()];
        if (device == nullptr || !device->has_work()) continue;
        turn_ = (turn_ + i + 1) % ports_.size();
        return device;
    }
    return nullptr;
}

void UsbHostAdapter::perform() {
    {
        MutexLock lock(mutex_);
        if (performing_) return;  // who is at it will see what is new
        performing_ = true;
    }
    for (unsigned round = 0;; ++round) {
        UsbDevice* device;
        {
            MutexLock lock(mutex_);
            busy_ = nullptr;
            device = next_with_work();
            if (device == nullptr || round == kMaxRounds) {
                work_left_ = device != nullptr;
                performing_ = false;
                free_.notify_all();
                return;
            }
            busy_ = device;
        }
        device->perform();
        {
            MutexLock lock(mutex_);
            busy_ = nullptr;
            free_.notify_all();
        }
        deliver();
    }
}

}  // namespace mynah
