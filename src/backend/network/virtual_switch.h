#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/network/network_backend.h"
#include "backend/network/switch_greeting.h"
#include "backend/network/switch_table.h"
#include "base/mutex.h"
#include "base/result.h"
#include "host/event_fd.h"
#include "host/fd.h"

namespace mynah {

// A switch for the cards of machines in other processes, which plug in at a Unix socket, with
// uplinks to any network a card can have. What comes in at a port is decided on and sent on by the
// thread that received it. A port that takes frames more slowly than they come loses some, as on any
// switch; the others do not wait for it.
class VirtualSwitch {
  public:
    static constexpr size_t kMaxPorts = 256;

    // `groups`: rules that ports can ask for by name. Error: names `origin` and why.
    static Result<std::unique_ptr<VirtualSwitch>> open(
        const std::string& path, std::map<std::string, SwitchPortRules> groups,
        const std::string& origin);
    ~VirtualSwitch();
    VirtualSwitch(const VirtualSwitch&) = delete;
    VirtualSwitch& operator=(const VirtualSwitch&) = delete;

    void add_uplink(std::unique_ptr<NetworkBackend> network, const SwitchPortRules& rules);
    // Takes ports and lets them go, until `stop` is signalled.
    void run(const EventFd& stop);

  private:
    class Port;
    VirtualSwitch(std::map<std::string, SwitchPortRules> groups, std::string path, Fd listener);

    void accept_port(const EventFd& stop);
    Result<SwitchGreeting> agree(int socket, const EventFd& stop) EXCLUDES(mutex_);
    void plug(std::string name, std::unique_ptr<NetworkBackend> network,
              const SwitchPortRules& rules, bool permanent) EXCLUDES(mutex_);
    void unplug_dead() EXCLUDES(mutex_);
    static void wait_until_unused(const std::shared_ptr<Port>& port);
    // `frame` is complete. Any port's thread.
    void forward(SwitchTable::Port from, std::span<std::byte> frame) EXCLUDES(mutex_);

    const std::map<std::string, SwitchPortRules> groups_;
    const std::string path_;
    const Fd listener_;
    EventFd wake_;  // a port's peer is gone
    Mutex mutex_;   // not held while a port is called
    SwitchTable table_ GUARDED_BY(mutex_);
    std::map<SwitchTable::Port, std::shared_ptr<Port>> ports_ GUARDED_BY(mutex_);
    SwitchTable::Port next_port_ GUARDED_BY(mutex_) = 1;
};

}  // namespace mynah
