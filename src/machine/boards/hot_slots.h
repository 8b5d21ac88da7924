#pragma once

#include <condition_variable>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/mutex.h"
#include "base/result.h"
#include "bus/pci/pci_function.h"
#include "device/chipset/ich9_root_port.h"
#include "machine/boards/hot_card.h"
#include "machine/boards/virtio_card.h"

namespace mynah {

// The slots behind a PC's root ports, into which virtio cards are put and from which they are taken
// while the machine runs. Taking one out is the guest's to allow: it is asked by the attention
// button, lets the card go and turns the slot's power off; then the card is pulled. Any thread.
class HotSlots {
  public:
    // Cards are taken apart on `removals`, as this waits for processors that are using them, and for
    // their requests: no backend of a card may use it.
    explicit HotSlots(Executor& removals) : removals_(removals) {}
    // Waits for cards that are being taken apart. No processor runs.
    ~HotSlots();

    // While the board is built; the port outlives this.
    void add(Ich9RootPort& port, const PciAttachment& attachment);

    // Error: the id is taken, or no slot is free.
    Result<void> plug(HotCard card) EXCLUDES(mutex_);
    // Asks the guest to let it go. Error: there is no such card.
    Result<void> request_unplug(const std::string& id) EXCLUDES(mutex_);
    std::vector<std::string> ids() const EXCLUDES(mutex_);
    // Machine reset, no processor runs: cards that were asked to go are gone afterwards.
    void reset() EXCLUDES(mutex_);

  private:
    struct Occupant {
        std::string id;
        std::shared_ptr<void> backend;
        std::unique_ptr<VirtioCard> card;  // goes first
    };
    struct Slot {
        Ich9RootPort* port;
        PciAttachment attachment;
        std::unique_ptr<Occupant> occupant;
        bool leaving = false;   // the guest was asked to let it go
        bool emptying = false;  // what was in it is being taken apart
    };

    void powered_off(size_t slot) EXCLUDES(mutex_);

    Executor& removals_;
    mutable Mutex mutex_;  // taken before the ports' locks
    std::condition_variable_any emptied_;
    std::vector<Slot> slots_ GUARDED_BY(mutex_);
};

}  // namespace mynah
