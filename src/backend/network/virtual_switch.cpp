#include "backend/network/virtual_switch.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstring>
#include <thread>

#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"
#include "backend/network/stream_network.h"
#include "backend/network/switch_handshake.h"
#include "base/log.h"
#include "host/listen_socket.h"

namespace mynah {

using Copy = SwitchTable::Copy;

namespace {

// Others wait to be plugged in while one introduces itself.
constexpr std::chrono::milliseconds kGreetingTime(1000);

}  // namespace

// A plug: the network of whoever is plugged in, whose frames it hands to the switch.
class VirtualSwitch::Port final : public NetworkSink {
  public:
    Port(VirtualSwitch& owner, SwitchTable::Port number, std::string name,
         std::unique_ptr<NetworkBackend> network, bool permanent)
        : owner_(owner),
          number_(number),
          name_(std::move(name)),
          network_(std::move(network)),
          permanent_(permanent) {
        whole_.resize(ethernet::kMaxSuperFrame);
    }
    ~Port() override { network_->set_sink(nullptr); }

    void start() {
        network_->set_sink(this);
        // The peer may have gone while there was nobody to tell.
        if (!network_->link_up()) link_changed(false);
        network_->receive_ready();
    }
    const std::string& name() const { return name_; }
    bool dead() const { return dead_; }

    void send(std::span<const Slice> pieces, size_t size) {
        const NetworkFrame frame{pieces, size, {}};
        (void)network_->transmit({&frame, 1});  // what it does not take now is lost
    }

    // --- NetworkSink, one thread at a time ---
    size_t receive(std::span<const NetworkFrame> frames) override {
        for (const NetworkFrame& frame : frames) {
            if (frame.size < ethernet::kHeaderSize || !gather_frame(frame, whole_)) continue;
            complete_frame(std::span(whole_).first(frame.size), frame.offload,
                           [this](std::span<const std::byte> out) {
                               // It is our buffer, or one that complete_frame() made.
                               owner_.forward(number_, {const_cast<std::byte*>(out.data()),
                                                        out.size()});
                           });
        }
        return frames.size();
    }
    void transmit_ready() override {}
    void link_changed(bool up) override {
        if (up || permanent_) return;
        dead_ = true;
        owner_.wake_.signal();
    }

  private:
    VirtualSwitch& owner_;
    const SwitchTable::Port number_;
    const std::string name_;
    std::unique_ptr<NetworkBackend> network_;
    const bool permanent_;  // its peer may come back
    std::vector<std::byte> whole_;
    std::atomic<bool> dead_{false};
};

Result<std::unique_ptr<VirtualSwitch>> VirtualSwitch::open(
    const std::string& path, std::map<std::string, SwitchPortRules> groups,
    const std::string& origin) {
    Fd listener = TRY(listen_unix(path, origin));
    return std::unique_ptr<VirtualSwitch>(
        new VirtualSwitch(std::move(groups), path, std::move(listener)));
}

VirtualSwitch::VirtualSwitch(std::map<std::string, SwitchPortRules> groups, std::string path,
                             Fd listener)
    : groups_(std::move(groups)), path_(std::move(path)), listener_(std::move(listener)) {}

VirtualSwitch::~VirtualSwitch() {
    unlink(path_.c_str());
    std::map<SwitchTable::Port, std::shared_ptr<Port>> ports;
    {
        MutexLock hold(mutex_);
        ports.swap(ports_);
    }
    for (const auto& [number, port] : ports) wait_until_unused(port);
}

// A port that is in no list any more is given up by those who were sending to it, so that it ends
// on this thread and not on that of another port, which it may be waiting for.
void VirtualSwitch::wait_until_unused(const std::shared_ptr<Port>& port) {
    while (port.use_count() > 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void VirtualSwitch::plug(std::string name, std::unique_ptr<NetworkBackend> network,
                         const SwitchPortRules& rules, bool permanent) {
    std::shared_ptr<Port> port;
    {
        MutexLock hold(mutex_);
        const SwitchTable::Port number = next_port_++;
        port = std::make_shared<Port>(*this, number, std::move(name), std::move(network),
                                      permanent);
        ports_[number] = port;
        table_.add_port(number, rules);
    }
    port->start();
}

void VirtualSwitch::add_uplink(std::unique_ptr<NetworkBackend> network,
                               const SwitchPortRules& rules) {
    plug("uplink", std::move(network), rules, true);
}

void VirtualSwitch::run(const EventFd& stop) {
    for (;;) {
        pollfd fds[] = {{stop.fd(), POLLIN, 0},
                        {wake_.fd(), POLLIN, 0},
                        {listener_.get(), POLLIN, 0}};
        if (poll(fds, std::size(fds), -1) < 0) continue;
        if (fds[0].revents != 0) return;
        if (wake_.drain()) unplug_dead();
        if (fds[2].revents != 0) accept_port(stop);
    }
}

// What a port says it wants to be, and the answer.
Result<SwitchGreeting> VirtualSwitch::agree(int socket, const EventFd& stop) {
    const GreetingLimit limit(kGreetingTime, stop.fd());
    Result<SwitchGreeting> greeting = receive_greeting(socket, limit);
    if (greeting && !greeting.value().group.empty()) {
        const auto group = groups_.find(greeting.value().group);
        if (group == groups_.end())
            greeting = Error(
                fmt::format("the switch has no port group '{}'", greeting.value().group));
        else
            greeting.value().rules = group->second;
    }
    bool full = false;
    {
        MutexLock hold(mutex_);
        full = ports_.size() >= kMaxPorts;
    }
    if (full) greeting = Error(fmt::format("all {} ports of the switch are taken", kMaxPorts));
    TRY(answer_greeting(socket, greeting ? "" : greeting.error().message(), limit));
    return greeting;
}

void VirtualSwitch::accept_port(const EventFd& stop) {
    Fd peer = accept_or_pause(listener_, SOCK_NONBLOCK, stop.fd());
    if (!peer.valid()) return;
    const auto greeting = agree(peer.get(), stop);
    if (!greeting) {
        log(LogLevel::kWarning, "switch: a port was refused: {}", greeting.error().message());
        return;
    }
    auto network = StreamNetwork::over(std::move(peer), "switch");
    if (!network) {
        log(LogLevel::kWarning, "{}", network.error().message());
        return;
    }
    plug(greeting.value().name, network.take_value(), greeting.value().rules, false);
    log(LogLevel::kInfo, "switch: {} is plugged in", greeting.value().name);
}

void VirtualSwitch::unplug_dead() {
    std::vector<std::shared_ptr<Port>> gone;
    {
        MutexLock hold(mutex_);
        for (auto each = ports_.begin(); each != ports_.end();) {
            if (!each->second->dead()) {
                ++each;
                continue;
            }
            table_.remove_port(each->first);
            gone.push_back(std::move(each->second));
            each = ports_.erase(each);
        }
    }
    for (const auto& port : gone) {
        wait_until_unused(port);
        log(LogLevel::kInfo, "switch: {} is gone", port->name());
    }
}

void VirtualSwitch::forward(SwitchTable::Port from, std::span<std::byte> frame) {
    const auto now = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(
            std::chrono::steady_clock::now().time_since_epoch())
            .count());
    struct Target {
        std::shared_ptr<Port> port;
        Copy::Tag tag;
    };
    std::vector<Target> targets;
    std::array<std::byte, ethernet::kVlanTagSize> tag;
    {
        MutexLock hold(mutex_);
        const SwitchTable::Verdict& verdict = table_.forward(from, frame, frame.size(), now);
        ethernet::store16(tag, 0, ethernet::kTypeVlan);
        ethernet::store16(tag, 2,
                          static_cast<uint16_t>(verdict.priority << 13 | verdict.vlan));
        for (const Copy& copy : verdict.copies) {
            const auto port = ports_.find(copy.port);
            if (port != ports_.end()) targets.push_back({port->second, copy.tag});
        }
    }
    const std::span addresses = frame.first(ethernet::kType);
    for (const Target& target : targets) {
        switch (target.tag) {
            case Copy::Tag::kAsItCame: {
                const Slice pieces[] = {frame};
                target.port->send(pieces, frame.size());
                break;
            }
            case Copy::Tag::kInsert: {
                const Slice pieces[] = {addresses, tag, frame.subspan(ethernet::kType)};
                target.port->send(pieces, frame.size() + tag.size());
                break;
            }
            case Copy::Tag::kReplace: {
                const Slice pieces[] = {addresses, tag,
                                        frame.subspan(ethernet::kType + tag.size())};
                target.port->send(pieces, frame.size());
                break;
            }
            case Copy::Tag::kRemove: {
                const Slice pieces[] = {addresses, frame.subspan(ethernet::kType + tag.size())};
                target.port->send(pieces, frame.size() - tag.size());
                break;
            }
        }
    }
}

}  // namespace mynah
