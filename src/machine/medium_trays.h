#pragma once

#include <cstddef>

namespace mynah {

class BlockBackend;

// CD drives, each by the number of its disk among the configured ones. Any thread.
class MediumTrays {
  public:
    virtual ~MediumTrays() = default;
    // Puts a medium into the drive. The backend must stay until it was taken out.
    virtual void insert_medium(size_t, BlockBackend&) {}
    // False: the guest has locked the tray; it is asked to release it. When it returns nothing uses
    // the medium any more.
    virtual bool eject_medium(size_t, bool /*force*/) { return false; }
    struct Tray {
        bool open = false, locked = false;
    };
    virtual Tray tray(size_t) { return {}; }
};

}  // namespace mynah
