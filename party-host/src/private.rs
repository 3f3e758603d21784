//! The key files that are private enough.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// The user and the group of a process.
#[derive(Debug, Clone, Copy)]
struct Who {
    user: u32,
    group: u32,
}

/// True if nobody but this process's user can read the file. Also true of a file of root's that only root and this process's own group
/// can read (mode 0440): Kubernetes hands the files of a Secret to a pod so, and the group is the pod's alone.
pub fn is_private(file: &Metadata) -> bool {
    let this = std::fs::metadata("/proc/self").ok().map(|me| Who { user: me.uid(), group: me.gid() });
    private(file.mode() & 0o777, Who { user: file.uid(), group: file.gid() }, this)
}

fn private(mode: u32, owner: Who, this: Option<Who>) -> bool {
    let handed = this.is_some_and(|this| {
        this.user != 0 && this.group == owner.group && owner.user == 0 && mode & 0o037 == 0
    });
    mode & 0o077 == 0 || handed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_read_by_one_user_or_handed_to_one_group() {
        let who = |user, group| Who { user, group };
        let pod = Some(who(65_532, 65_532));
        for mode in [0o600, 0o400] {
            assert!(private(mode, who(65_532, 100), pod) && private(mode, who(1000, 1000), None));
        }
        assert!(private(0o440, who(0, 65_532), pod), "as Kubernetes hands it over");
        assert!(private(0o640, who(0, 65_532), pod), "root may write");
        for (mode, owner) in [
            (0o444, who(0, 65_532)),
            (0o460, who(0, 65_532)),
            (0o440, who(0, 100)),
            (0o440, who(1000, 65_532)),
            (0o604, who(65_532, 65_532)),
        ] {
            assert!(!private(mode, owner, pod), "{mode:o} of {owner:?}");
        }
        assert!(
            !private(0o440, who(0, 0), Some(who(0, 0))),
            "root reads everything, so its files are its own"
        );
        assert!(!private(0o440, who(0, 65_532), None), "nobody knows who asks");
    }
}
